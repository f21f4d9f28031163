//! Semantic versions (semver 2.0.0).

use std::cmp::Ordering;

/// A version. What stands behind a `+` does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) numbers: [u64; 3],
    before: Vec<Identifier>,
}

/// Part of what stands behind a `-`. Numbers are smaller than texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
            return None;
        }
        let (numbers, before) =
            text.split_once('-').map_or((text, None), |(text, before)| (text, Some(before)));
        let mut parts = numbers.split('.');
        let mut next = || number(parts.next()?);
        let numbers = [next()?, next()?, next()?];
        if parts.next().is_some() {
            return None;
        }
        let before =
            before.map_or_else(|| Some(Vec::new()), |text| text.split('.').map(identifier).collect());
        Some(Self { numbers, before: before? })
    }

    /// Reads what people write: a leading `v`, missing numbers and leading zeros are mended.
    pub(super) fn parse_tolerantly(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mend = |part: &str| {
            let mended = part.trim_start_matches('0');
            if mended.is_empty() && !part.is_empty() { "0".to_owned() } else { mended.to_owned() }
        };
        let mut parts: Vec<_> = numbers.split('.').map(mend).collect();
        while parts.len() < 3 {
            parts.push("0".to_owned());
        }
        Self::parse(&format!("{}{rest}", parts.join(".")))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // A version comes after all that lead to it.
        let released = |version: &Self| version.before.is_empty();
        let order = self.numbers.cmp(&other.numbers).then_with(|| released(self).cmp(&released(other)));
        order.then_with(|| self.before.cmp(&other.before))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (plain && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().ok())?
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn identifier(text: &str) -> Option<Identifier> {
    if !is_identifier(text) {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return number(text).map(Identifier::Number);
    }
    Some(Identifier::Text(text.to_owned()))
}
