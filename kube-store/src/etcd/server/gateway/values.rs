//! Finds JSON values in the bytes of a body, whatever these are cut into.

use bytes::{Bytes, BytesMut};
use tonic::Status;

/// Values that follow each other, with or without space in between.
#[derive(Debug)]
pub(super) struct Values {
    buffer: BytesMut,
    /// Bytes of the value that were looked at.
    seen: usize,
    within: Within,
    /// Objects and arrays that are open.
    depth: usize,
    /// Most bytes of one value.
    largest: usize,
}

/// Where in a value the search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Between values.
    Space,
    /// A value that is neither an object nor an array, up to the next space.
    Word,
    Object,
    Text,
    /// Behind a backslash in a text.
    Escape,
}

impl Values {
    pub(super) fn new(largest: usize) -> Self {
        Self { buffer: BytesMut::new(), seen: 0, within: Within::Space, depth: 0, largest }
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next value that is complete.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        while let Some(byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            let ended = self.step(*byte);
            if self.within == Within::Space {
                // Spaces are nothing, and a word is parsed with the one behind it.
                let value = self.take();
                if ended {
                    return Ok(Some(value));
                }
            }
            if self.seen > self.largest {
                return Err(Status::resource_exhausted(format!(
                    "a request takes more than {} bytes",
                    self.largest
                )));
            }
        }
        Ok(None)
    }

    /// What is left at the end of the body.
    pub(super) fn last(&mut self) -> Result<Option<Bytes>, Status> {
        match self.within {
            Within::Space => Ok(None),
            Within::Word => Ok(Some(self.take())),
            _ => Err(Status::invalid_argument("unexpected EOF")),
        }
    }

    fn take(&mut self) -> Bytes {
        (self.within, self.depth) = (Within::Space, 0);
        self.buffer.split_to(std::mem::take(&mut self.seen)).freeze()
    }

    /// Takes a step; answers whether a value ends with it.
    fn step(&mut self, byte: u8) -> bool {
        let before = self.within;
        self.within = match (before, byte) {
            (Within::Space | Within::Word, b' ' | b'\t' | b'\n' | b'\r') => Within::Space,
            (Within::Space, b'{' | b'[') | (Within::Text, b'"') => Within::Object,
            (Within::Space, _) => Within::Word,
            (Within::Object, b'"') | (Within::Escape, _) => Within::Text,
            (Within::Text, b'\\') => Within::Escape,
            (same, _) => same,
        };
        if before == Within::Space || before == Within::Object {
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if self.within == Within::Object && self.depth == 0 {
            self.within = Within::Space;
        }
        before != Within::Space && self.within == Within::Space
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, cut: usize) -> Result<Vec<String>, Status> {
        let mut values = Values::new(24);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(cut) {
            values.push(piece);
            while let Some(value) = values.next()? {
                found.push(value);
            }
        }
        found.extend(values.last()?);
        Ok(found.iter().map(|value| String::from_utf8_lossy(value).trim().to_owned()).collect())
    }

    #[test]
    fn values_are_found_however_the_body_is_cut() {
        for (text, wanted) in [
            ("", &[][..]),
            (" \n\t", &[]),
            ("{}", &["{}"]),
            (" {} \n{\"a\":[1,{}]}[]", &["{}", "{\"a\":[1,{}]}", "[]"]),
            (r#"{"}\"{":"\\"}{"\\":1}"#, &[r#"{"}\"{":"\\"}"#, r#"{"\\":1}"#]),
            ("null 7", &["null", "7"]),
            ("} {}", &["}", "{}"]),
            ("no{}", &["no{}"]),
            (
                "{\"k\":\"123456789\"}{\"k\":\"1234567890\"}",
                &["{\"k\":\"123456789\"}", "{\"k\":\"1234567890\"}"],
            ),
        ] {
            for cut in 1..=text.len().max(1) {
                assert_eq!(all(text, cut).unwrap(), wanted, "{text} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn what_is_not_complete_or_too_large_is_refused() {
        for (text, code) in [
            ("{\"a\":1", tonic::Code::InvalidArgument),
            ("{} {\"a", tonic::Code::InvalidArgument),
            ("[[]", tonic::Code::InvalidArgument),
            ("{\"k\":\"1234567890123456789\"}", tonic::Code::ResourceExhausted),
            ("1234567890123456789012345", tonic::Code::ResourceExhausted),
        ] {
            for cut in 1..text.len() {
                assert_eq!(all(text, cut).unwrap_err().code(), code, "{text} in pieces of {cut}");
            }
        }
    }
}
