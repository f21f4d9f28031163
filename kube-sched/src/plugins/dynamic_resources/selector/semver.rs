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
    /// Reads a version, or says in upstream's words why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        let [major, minor, rest] = parts[..] else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, before) =
            rest.split_once('-').map_or((rest, None), |(patch, before)| (patch, Some(before)));
        let numbers = [number("major", major)?, number("minor", minor)?, number("patch", patch)?];
        let before =
            before.map_or_else(|| Ok(Vec::new()), |text| text.split('.').map(identifier).collect())?;
        for part in build.iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !is_identifier(part) {
                return Err(format!("Invalid character(s) found in build meta data {part:?}"));
            }
        }
        Ok(Self { numbers, before })
    }

    /// Reads what people write: a leading `v`, missing numbers and leading zeros are mended.
    pub(super) fn parse_tolerantly(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<_> = text.splitn(3, '.').map(without_zeros).collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|part| part.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::parse(&parts.join("."))
    }
}

/// A number without leading zeros, but for one that stands alone.
fn without_zeros(part: &str) -> String {
    let mended = part.trim_start_matches('0');
    match mended.bytes().next() {
        _ if part.len() < 2 => part.to_owned(),
        Some(first) if first.is_ascii_digit() => mended.to_owned(),
        _ => format!("0{mended}"),
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

fn only_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    if !only_digits(text) {
        return Err(format!("Invalid character(s) found in {name} number {text:?}"));
    }
    if text.len() > 1 && text.starts_with('0') {
        let name = format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]);
        return Err(format!("{name} number must not contain leading zeroes {text:?}"));
    }
    text.parse().map_err(|_| out_of_range(text))
}

fn out_of_range(text: &str) -> String {
    format!("strconv.ParseUint: parsing {text:?}: value out of range")
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn identifier(text: &str) -> Result<Identifier, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if !is_identifier(text) {
        return Err(format!("Invalid character(s) found in prerelease {text:?}"));
    }
    if !only_digits(text) {
        return Ok(Identifier::Text(text.to_owned()));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("Numeric PreRelease version must not contain leading zeroes {text:?}"));
    }
    text.parse().map(Identifier::Number).map_err(|_| out_of_range(text))
}
