//! From JSON to the wire, without anything in between: a request may be large, and what it is made of small.
//!
//! A field is known by either of its names; one that is not known, or is null, is as if it were not there. Numbers may be written
//! as text, values of an enumeration as their numbers.

use std::fmt::{self, Display};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::schema::{Field, Kind, Message};

/// Appends the message that a JSON text tells; null tells an empty one.
pub(super) fn encode(message: &'static Message, text: &[u8], out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_slice(text);
    Any(Fields { message, out }).deserialize(&mut json)?;
    json.end()
}

/// Lets a visitor see what there is.
struct Any<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Any<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        json.deserialize_any(self.0)
    }
}

/// Takes an object for a message.
struct Fields<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(name) = object.next_key::<String>()? {
            match self.message.field(&name) {
                Some(field) if field.many => object.next_value_seed(Any(List { field, out: self.out }))?,
                Some(field) => object.next_value_seed(Any(Value { field, out: self.out }))?,
                None => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Takes an array for the values of a field.
struct List<'a> {
    field: &'static Field,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for the field {}", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element_seed(Any(Value { field: self.field, out: self.out }))?.is_some() {}
        Ok(())
    }
}

/// Takes what there is for a value of a field.
struct Value<'a> {
    field: &'static Field,
    out: &'a mut Vec<u8>,
}

impl Value<'_> {
    fn put_number(self, number: u64) {
        encode_key(self.field.number, WireType::Varint, self.out);
        encode_varint(number, self.out);
    }

    fn put_bytes(self, bytes: &[u8]) {
        encode_key(self.field.number, WireType::LengthDelimited, self.out);
        encode_varint(bytes.len() as u64, self.out);
        self.out.extend_from_slice(bytes);
    }

    /// A number, if this kind of field can have it.
    fn put_integer(self, number: i128) -> Option<()> {
        let encoded = match self.field.kind {
            Kind::Int64 => i64::try_from(number).ok()?.cast_unsigned(),
            Kind::Uint64 => u64::try_from(number).ok()?,
            Kind::Uint32 => u32::try_from(number).ok()?.into(),
            Kind::Enum(_) => i64::from(i32::try_from(number).ok()?).cast_unsigned(),
            _ => return None,
        };
        self.put_number(encoded);
        Some(())
    }

    /// A text, if this kind of field can be written so.
    fn put_text(self, text: &str) -> Option<()> {
        match self.field.kind {
            Kind::Text => self.put_bytes(text.as_bytes()),
            Kind::Bytes => self.put_bytes(&STANDARD.decode(text).ok()?),
            Kind::Enum(names) => {
                let number = names.iter().position(|name| *name == text)?;
                self.put_number(number as u64);
            }
            _ => self.put_integer(text.parse().ok()?)?,
        }
        Some(())
    }
}

/// What a field can have.
struct Wanted(&'static Field);

impl Wanted {
    /// What is said of a value that it cannot have. The value is not repeated, for it may be long.
    fn missed<E: Error>(&self) -> E {
        E::custom(format_args!("expected {self}"))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.0.kind {
            Kind::Bool => "a boolean",
            Kind::Int64 | Kind::Uint64 | Kind::Uint32 => "a number in its range",
            Kind::Text => "a text",
            Kind::Bytes => "a text in base64",
            Kind::Enum(names) => {
                return write!(f, "one of {} for the field {}", names.join(", "), self.0.name);
            }
            Kind::Message(_) => "an object",
        };
        write!(f, "{wanted} for the field {}", self.0.name)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Wanted(self.field).fmt(f)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                self.put_number(value.into());
                Ok(())
            }
            _ => Err(Wanted(self.field).missed()),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let wanted = Wanted(self.field);
        self.put_integer(value.into()).ok_or_else(|| wanted.missed())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let wanted = Wanted(self.field);
        self.put_integer(value.into()).ok_or_else(|| wanted.missed())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let wanted = Wanted(self.field);
        self.put_text(value).ok_or_else(|| wanted.missed())
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(Wanted(self.field).missed());
        };
        let mut inner = Vec::new();
        Fields { message, out: &mut inner }.visit_map(object)?;
        self.put_bytes(&inner);
        Ok(())
    }
}
