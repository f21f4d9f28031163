//! The embedded definitions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{LazyLock, OnceLock};

use super::node::{SchemaRef, Slot};
use super::parse;

const STRUCTURE: &str = include_str!("../../schemas/structure.txt");
const DESCRIPTIONS: &[u8] = include_bytes!("../../schemas/descriptions.z");

struct Table {
    slots: Vec<Slot>,
    by_name: HashMap<&'static str, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let slots = split(STRUCTURE);
    let by_name = slots.iter().enumerate().map(|(i, slot)| (slot.name, i)).collect();
    Table { slots, by_name }
});

/// Cuts the text where a line starts without a space, counting the description lines on the way.
fn split(text: &'static str) -> Vec<Slot> {
    let (mut slots, mut start, mut line) = (Vec::new(), 0, 0);
    while start < text.len() {
        let rest = text.get(start..).unwrap_or_default();
        let (name, body) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut end = 0;
        for entry in body.split_inclusive('\n') {
            if !entry.starts_with(' ') {
                break;
            }
            end += entry.len();
        }
        let body = body.get(..end).unwrap_or_default();
        slots.push(Slot { name, body, line, parsed: OnceLock::new() });
        line += 1 + body.lines().filter(|l| parse::is_property(l)).count();
        start += name.len() + 1 + end;
    }
    slots
}

/// The definition of this full name, e.g. `io.k8s.api.core.v1.Pod`.
pub fn builtin(name: &str) -> Option<SchemaRef> {
    by_short_name(&shorten(name))
}

/// Every built-in definition, sorted by the name the embedded file uses.
pub fn builtin_definitions() -> impl Iterator<Item = SchemaRef> {
    TABLE.slots.iter().map(SchemaRef::builtin)
}

pub(super) fn by_short_name(name: &str) -> Option<SchemaRef> {
    let at = *TABLE.by_name.get(name)?;
    TABLE.slots.get(at).map(SchemaRef::builtin)
}

const API: &str = "io.k8s.api.";
const META: &str = "io.k8s.apimachinery.pkg.apis.";

fn shorten(name: &str) -> Cow<'_, str> {
    if let Some(rest) = name.strip_prefix(API) {
        Cow::Borrowed(rest)
    } else if let Some(rest) = name.strip_prefix(META) {
        Cow::Owned(format!("~{rest}"))
    } else {
        Cow::Borrowed(name)
    }
}

pub(super) fn lengthen(name: &str) -> String {
    match name.strip_prefix('~') {
        Some(rest) => format!("{META}{rest}"),
        None if name.starts_with("io.k8s.") => name.to_owned(),
        None => format!("{API}{name}"),
    }
}

/// The description on this line, unescaped. Unpacks the file at first use.
pub(crate) fn description(line: usize) -> Option<&'static str> {
    static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut text = String::new();
        let read = flate2::read::ZlibDecoder::new(DESCRIPTIONS).read_to_string(&mut text);
        debug_assert!(read.is_ok(), "the embedded descriptions unpack");
        text.lines().map(|l| serde_json::from_str(&format!("\"{l}\"")).unwrap_or_default()).collect()
    });
    LINES.get(line).map(String::as_str).filter(|text| !text.is_empty())
}
