//! JSON with duplicate keys recorded.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::{DecodeError, Decoded};

pub(super) fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = Found::default();
    let value = found.value(&mut reader).and_then(|value| reader.end().map(|()| value));
    let value = value.map_err(|e| DecodeError::Json(go_words(&e, body)))?;
    Ok(Decoded { value, duplicates: found.duplicates.into_inner() })
}

/// The commonest complaints as Go's decoder phrases them; the rest keep serde's text.
fn go_words(error: &serde_json::Error, body: &[u8]) -> String {
    let text = error.to_string();
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    if text.starts_with("recursion limit") {
        return "exceeded max depth".to_owned();
    }
    let line = body.split(|b| *b == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.get(error.column().saturating_sub(1)) {
        Some(byte) if error.is_syntax() => {
            format!("invalid character {:?} {}", char::from(*byte), syntax_place(&text))
        }
        _ => text,
    }
}

fn syntax_place(text: &str) -> &'static str {
    if text.starts_with("trailing characters") {
        "after top-level value"
    } else if text.starts_with("key must be") || text.starts_with("trailing comma") {
        "looking for beginning of object key string"
    } else if text.starts_with("expected `,` or `}`") {
        "after object key:value pair"
    } else if text.starts_with("expected `,` or `]`") {
        "after array element"
    } else if text.starts_with("expected `:`") {
        "after object key"
    } else {
        "looking for beginning of value"
    }
}

/// The duplicates of a document, as far as it has been read.
#[derive(Default)]
pub(super) struct Found {
    pub(super) duplicates: RefCell<Vec<String>>,
}

/// A step into a value, and those before it. They lie on the stack of whoever reads the value, so that a path costs nothing until
/// somebody asks for it.
struct Place<'a> {
    above: Option<&'a Self>,
    step: Step<'a>,
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Place<'_> {
    fn write(&self, text: &mut String) {
        if let Some(above) = self.above {
            above.write(text);
        }
        match self.step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(i) => text.push_str(&format!("[{i}]")),
        }
    }
}

impl Found {
    pub(super) fn value<'de, D: Deserializer<'de>>(&self, deserializer: D) -> Result<Value, D::Error> {
        Seed { found: self, place: None }.deserialize(deserializer)
    }

    fn duplicate(&self, place: &Place<'_>) {
        let mut text = String::new();
        place.write(&mut text);
        let mut duplicates = self.duplicates.borrow_mut();
        // A client must not be able to make the answer larger than its question.
        if duplicates.len() < 100 && !duplicates.contains(&text) {
            duplicates.push(text);
        }
    }
}

/// Reads the value at a place.
#[derive(Clone, Copy)]
struct Seed<'a> {
    found: &'a Found,
    place: Option<&'a Place<'a>>,
}

impl<'a> Seed<'a> {
    fn below(&self, step: Step<'a>) -> Place<'a> {
        Place { above: self.place, step }
    }

    fn at<'b>(&'b self, place: &'b Place<'b>) -> Seed<'b> {
        Seed { found: self.found, place: Some(place) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.at(&self.below(Step::Index(list.len()))))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let slot = map.entry(key);
            let place = self.below(Step::Key(slot.key()));
            if matches!(slot, Entry::Occupied(_)) {
                self.found.duplicate(&place);
            }
            let value = entries.next_value_seed(self.at(&place))?;
            match slot {
                Entry::Vacant(slot) => _ = slot.insert(value),
                Entry::Occupied(mut slot) => _ = slot.insert(value),
            }
        }
        Ok(Value::Object(map))
    }
}
