//! What JSON and the wire need to know of messages and methods. Those of etcd are in `messages.rs`.

/// A message: its fields, in the order in which they are told.
pub(super) struct Message(pub(super) &'static [Field]);

pub(super) struct Field {
    pub(super) number: u32,
    /// As the proto file has it, and as it is told.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it is a list.
    pub(super) many: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Int64,
    Uint64,
    Uint32,
    Text,
    Bytes,
    /// The names of its values, from 0.
    Enum(&'static [&'static str]),
    Message(&'static Message),
}

pub(super) const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: false }
}

pub(super) const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: true }
}

/// A method of a service of gRPC.
pub(super) struct Method {
    pub(super) path: &'static str,
    pub(super) request: &'static Message,
    pub(super) response: &'static Message,
    pub(super) streams: Streams,
}

/// Which messages of a method are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    None,
    /// Those to the client.
    Down,
    Both,
}

pub(super) const fn method(
    path: &'static str,
    request: &'static Message,
    response: &'static Message,
    streams: Streams,
) -> Method {
    Method { path, request, response, streams }
}

impl Message {
    /// The field that JSON calls so: by its own name, or by that in camel case.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.0.iter().find(|field| field.name == name || camel(field.name).eq(name.chars()))
    }
}

/// A name without underscores, the letters behind them large.
fn camel(name: &str) -> impl Iterator<Item = char> {
    let mut begins = false;
    name.chars().filter_map(move |letter| {
        let begun = std::mem::replace(&mut begins, letter == '_');
        match letter {
            '_' => None,
            _ if begun => Some(letter.to_ascii_uppercase()),
            _ => Some(letter),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_two_names() {
        static FIELDS: Message = Message(&[
            one(1, "min_mod_revision", Kind::Int64),
            one(2, "ID", Kind::Int64),
            one(3, "peerURLs", Kind::Text),
        ]);
        for (name, number) in [
            ("min_mod_revision", Some(1)),
            ("minModRevision", Some(1)),
            ("minmodrevision", None),
            ("min_modRevision", None),
            ("ID", Some(2)),
            ("id", None),
            ("peerURLs", Some(3)),
            ("", None),
        ] {
            assert_eq!(FIELDS.field(name).map(|field| field.number), number, "{name}");
        }
    }
}
