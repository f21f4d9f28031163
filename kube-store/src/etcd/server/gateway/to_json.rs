//! From the wire to JSON, as Go's libraries write it.
//!
//! Fields have the names and the order of the proto file. 64-bit numbers are text, bytes are base64, values of an enumeration are
//! their names. What is not on the wire is left out; that is what has the usual value, but for a choice that was made.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use prost::DecodeError;
use prost::encoding::{self, DecodeContext, WireType, decode_key, skip_field};

use super::schema::{Kind, Message};

/// Appends the text of a message.
pub(super) fn write(message: &Message, mut wire: Bytes, out: &mut String) -> Result<(), DecodeError> {
    let mut texts = vec![String::new(); message.0.len()];
    while wire.has_remaining() {
        let (number, wire_type) = decode_key(&mut wire)?;
        match message.0.iter().zip(&mut texts).find(|(field, _)| field.number == number) {
            None => skip_field(wire_type, number, &mut wire, DecodeContext::default())?,
            Some((field, text)) if field.many => {
                text.push(if text.is_empty() { '[' } else { ',' });
                write_value(field.kind, wire_type, &mut wire, text)?;
            }
            Some((field, text)) => {
                text.clear();
                write_value(field.kind, wire_type, &mut wire, text)?;
            }
        }
    }
    let mut before = '{';
    for (field, text) in message.0.iter().zip(&texts).filter(|(_, text)| !text.is_empty()) {
        let after = if field.many { "]" } else { "" };
        // Writing to a string does not fail.
        let _ = write!(out, "{before}\"{}\":{text}{after}", field.name);
        before = ',';
    }
    out.push_str(if before == '{' { "{}" } else { "}" });
    Ok(())
}

fn write_value(
    kind: Kind,
    wire_type: WireType,
    wire: &mut Bytes,
    out: &mut String,
) -> Result<(), DecodeError> {
    if matches!(kind, Kind::Text | Kind::Bytes | Kind::Message(_)) {
        let mut value = Bytes::new();
        encoding::bytes::merge(wire_type, &mut value, wire, DecodeContext::default())?;
        return match kind {
            Kind::Message(message) => write(message, value, out),
            Kind::Text => {
                quote(&String::from_utf8_lossy(&value), out);
                Ok(())
            }
            _ => {
                out.push('"');
                STANDARD.encode_string(&value, out);
                out.push('"');
                Ok(())
            }
        };
    }
    let mut value = 0;
    encoding::uint64::merge(wire_type, &mut value, wire, DecodeContext::default())?;
    write_number(kind, value, out);
    Ok(())
}

fn write_number(kind: Kind, value: u64, out: &mut String) {
    let name = match kind {
        Kind::Enum(names) => usize::try_from(value).ok().and_then(|value| names.get(value)),
        _ => None,
    };
    // Writing to a string does not fail.
    let _ = match (kind, name) {
        (Kind::Bool, _) => write!(out, "{}", value != 0),
        (Kind::Enum(_), Some(name)) => write!(out, "\"{name}\""),
        (Kind::Int64, _) => write!(out, "\"{}\"", value.cast_signed()),
        (Kind::Uint64, _) => write!(out, "\"{value}\""),
        _ => write!(out, "{}", value.cast_signed()),
    };
}

/// Appends a text in quotes. As in Go, what HTML would take for its own is written by number.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}
