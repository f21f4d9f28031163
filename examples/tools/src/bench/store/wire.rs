//! As much of etcd's encoding as the load needs: generated messages would cost it more than the servers spend.

use bytes::Bytes;

use crate::Failure;

/// A message being written; a field that is 0 or empty is left out, as it is by everybody.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl Message {
    pub(super) fn number(mut self, field: u8, number: i64) -> Self {
        if number != 0 {
            self.0.push(field << 3);
            self.varint(number.cast_unsigned());
        }
        self
    }

    pub(super) fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        if !bytes.is_empty() {
            self.0.push(field << 3 | 2);
            self.varint(bytes.len() as u64);
            self.0.extend_from_slice(bytes);
        }
        self
    }

    pub(super) fn message(self, field: u8, message: Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// The message as gRPC sends it: whether it is compressed, its length, itself.
    pub(super) fn framed(self) -> Bytes {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        [&[0], length.to_be_bytes().as_slice(), &self.0].concat().into()
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f | 0x80) as u8);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

/// Calls `visit` with each field of a message.
pub(super) fn fields<'a>(
    mut message: &'a [u8],
    mut visit: impl FnMut(u64, Field<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)?.cast_signed()),
            2 => {
                let length = usize::try_from(varint(&mut message)?)?;
                let (bytes, rest) = message.split_at_checked(length).ok_or("a message is cut")?;
                message = rest;
                Field::Bytes(bytes)
            }
            other => return Err(format!("wire type {other} is not in etcd's messages").into()),
        };
        visit(tag >> 3, field)?;
    }
    Ok(())
}

fn varint(message: &mut &[u8]) -> Result<u64, Failure> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().ok_or("a number is cut")?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".into())
}

/// The number in a field, 0 if it is left out.
pub(super) fn number(message: &[u8], wanted: u64) -> Result<i64, Failure> {
    let mut found = 0;
    fields(message, |field, value| {
        if let (true, Field::Number(number)) = (field == wanted, value) {
            found = number;
        }
        Ok(())
    })?;
    Ok(found)
}

/// The bytes in a field, empty if it is left out.
pub(super) fn bytes(message: &[u8], wanted: u64) -> Result<&[u8], Failure> {
    let mut found = &[][..];
    fields(message, |field, value| {
        if let (true, Field::Bytes(bytes)) = (field == wanted, value) {
            found = bytes;
        }
        Ok(())
    })?;
    Ok(found)
}

/// The revision that an answer's header tells.
pub(super) fn revision(answer: &[u8]) -> Result<i64, Failure> {
    number(bytes(answer, 1)?, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Message::default().number(3, 300);
        let message = Message::default().message(1, header).number(2, -1).bytes(5, b"value").framed();
        assert_eq!(message.get(..5), Some(&[0, 0, 0, 0, 23][..]));
        let message = &message[5..];
        assert_eq!(revision(message).unwrap(), 300);
        assert_eq!(number(message, 2).unwrap(), -1);
        assert_eq!(bytes(message, 5).unwrap(), b"value");
        assert_eq!(number(message, 9).unwrap(), 0);
        assert!(fields(&message[..message.len() - 1], |_, _| Ok(())).is_err());
    }
}
