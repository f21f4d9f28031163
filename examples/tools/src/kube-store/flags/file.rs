//! A configuration file: YAML with the keys of etcd's.

use serde_json::Value;

use super::table::{self, Flag, Side};
use super::value::Kind;

/// The sections with settings of TLS.
const SECTIONS: [(&str, Side); 2] =
    [("client-transport-security", Side::Clients), ("peer-transport-security", Side::Peers)];

type Found = Vec<(Flag, String, String)>;

/// The values in a file, with their flags; keys that are none are told, as etcd does not.
pub(super) fn values(path: &str, notes: &mut Vec<String>) -> Result<Found, String> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("open {path}: no such file or directory"),
        _ => format!("open {path}: {error}"),
    })?;
    parse(&text, notes).map_err(|error| format!("{path}: {error}"))
}

pub(super) fn parse(text: &str, notes: &mut Vec<String>) -> Result<Found, String> {
    let whole: Option<serde_json::Map<String, Value>> =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut found = Found::new();
    for (key, value) in whole.unwrap_or_default() {
        match SECTIONS.iter().find(|(section, _)| *section == key) {
            Some((_, side)) => section(&key, *side, value, &mut found, notes)?,
            None => add(table::find(&key), &key, &value, &mut found, notes)?,
        }
    }
    Ok(found)
}

fn section(
    name: &str,
    side: Side,
    value: Value,
    found: &mut Found,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let Value::Object(section) = value else { return Err(format!("{name}: expected a section")) };
    for (key, value) in section {
        add(table::find_tls(side, &key), &format!("{name}.{key}"), &value, found, notes)?;
    }
    Ok(())
}

fn add(
    flag: Option<Flag>,
    key: &str,
    value: &Value,
    found: &mut Found,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    match flag {
        None => notes.push(format!("unrecognized key {key}")),
        Some(_) if value.is_null() => {}
        Some(flag) => {
            let value = plain(value, flag.kind).ok_or_else(|| format!("{key}: expected one value"))?;
            found.push((flag, key.to_owned(), value));
        }
    }
    Ok(())
}

/// A value as a flag would have it. A bare number of a time counts nanoseconds, as Go's YAML has it.
fn plain(value: &Value, kind: Kind) -> Option<String> {
    match value {
        Value::Number(number) if kind == Kind::Time => Some(format!("{number}ns")),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => {
            let all: Option<Vec<_>> = all.iter().map(|one| plain(one, kind)).collect();
            all.map(|all| all.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}
