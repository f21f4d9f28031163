//! Reading a few values of a JSON document without building the rest.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The values at some pointers (RFC 6901, through objects only), `Null` where there is none. What is not asked for is only
/// skipped: an object is looked at with every change of it, and mostly for a handful of its fields.
pub(super) fn pick(document: &[u8], pointers: &[&str]) -> serde_json::Result<Vec<Value>> {
    let mut found = vec![Value::Null; pointers.len()];
    let wanted = pointers.iter().enumerate();
    let wanted = wanted.filter_map(|(slot, pointer)| Some((pointer.strip_prefix('/')?, slot))).collect();
    let mut reader = serde_json::Deserializer::from_slice(document);
    Pick { wanted, found: &mut found }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// What is left of each pointer below here, and its place in the answer.
type Wanted<'p> = Vec<(&'p str, usize)>;

struct Pick<'p, 'v> {
    wanted: Wanted<'p>,
    found: &'v mut [Value],
}

impl Pick<'_, '_> {
    fn put(&mut self, slot: usize, value: Value) {
        if let Some(found) = self.found.get_mut(slot) {
            *found = value;
        }
    }
}

/// Reads a key; the answer is what is wanted below it.
struct Key<'a, 'p>(&'a [(&'p str, usize)]);

impl<'de, 'p> DeserializeSeed<'de> for Key<'_, 'p> {
    type Value = Wanted<'p>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Key<'_, 'p> {
    type Value = Wanted<'p>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let below = |(pointer, slot): &(&'p str, usize)| {
            let rest = pointer.strip_prefix(key)?;
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
            Some((rest, *slot))
        };
        Ok(self.0.iter().filter_map(below).collect())
    }
}

impl<'de> DeserializeSeed<'de> for Pick<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Key(&self.wanted))? {
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else if wanted.iter().any(|(rest, _)| rest.is_empty()) {
                let value: Value = map.next_value()?;
                for (rest, slot) in wanted {
                    let pointer = if rest.is_empty() { String::new() } else { format!("/{rest}") };
                    self.put(slot, value.pointer(&pointer).cloned().unwrap_or_default());
                }
            } else {
                map.next_value_seed(Pick { wanted, found: &mut *self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_picked_is_what_is_there() {
        let document = json!({"metadata": {"name": "a\"b", "labels": {"x": "y"}, "more": [1, {"name": "no"}]},
            "spec": {"nodeName": "n", "nodeNames": 1, "deep": {"er": [true, null]}}, "status": null, "f": 1.5, "text": "t"});
        let pointers = [
            "/metadata/name",
            "/metadata/labels",
            "/spec/nodeName",
            "/spec/deep/er",
            "/spec/deep",
            "/status/phase",
            "/text/below",
            "/f/below",
            "/metadata/more/name",
            "/missing",
            "/metadata/name",
        ];
        let expected: Vec<_> =
            pointers.iter().map(|pointer| document.pointer(pointer).cloned().unwrap_or_default()).collect();
        assert_eq!(pick(document.to_string().as_bytes(), &pointers).unwrap(), expected);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["{", "{\"a\":1}x", "{\"a\":[1}", ""] {
            assert!(pick(text.as_bytes(), &["/b"]).is_err(), "{text}");
        }
    }
}
