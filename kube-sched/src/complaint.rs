//! What is wrong with a configuration, field by field, in upstream's words: people search for them.

use std::fmt::{self, Display};

use jiff::SignedDuration;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where the field is, such as `scoringStrategy.resources[0].weight`; empty for the whole document.
    pub field: String,
    /// What is wrong with it, such as `Invalid value: 101: not in valid range [0, 100]`.
    pub reason: String,
}

impl Complaint {
    /// A complaint about a document as a whole.
    #[must_use]
    pub fn general(reason: impl Into<String>) -> Self {
        Self { field: String::new(), reason: reason.into() }
    }
}

impl Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.reason),
            field => write!(f, "{field}: {}", self.reason),
        }
    }
}

/// One complaint as it is, several in brackets.
pub(crate) fn join(complaints: &[Complaint]) -> String {
    match complaints {
        [single] => single.to_string(),
        several => {
            let texts: Vec<_> = several.iter().map(ToString::to_string).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

/// All that is wrong with a document.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<Complaint>);

impl Complaints {
    fn push(&mut self, field: impl Display, reason: String) {
        self.0.push(Complaint { field: field.to_string(), reason });
    }

    /// The value as upstream prints it: numbers as they are, texts in quotes, everything else as JSON.
    pub(crate) fn invalid(&mut self, field: impl Display, value: impl Display, reason: impl Display) {
        self.push(field, format!("Invalid value: {value}: {reason}"));
    }

    pub(crate) fn invalid_if(
        &mut self,
        wrong: bool,
        field: impl Display,
        value: impl Display,
        reason: impl Display,
    ) {
        if wrong {
            self.invalid(field, value, reason);
        }
    }

    /// A complaint about the document as a whole.
    pub(crate) fn general(&mut self, reason: impl Display) {
        self.0.push(Complaint::general(reason.to_string()));
    }

    pub(crate) fn required(&mut self, field: impl Display, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        self.push(field, format!("Required value{colon}{detail}"));
    }

    pub(crate) fn duplicate(&mut self, field: impl Display, value: impl Display) {
        self.push(field, format!("Duplicate value: {value}"));
    }

    pub(crate) fn forbidden(&mut self, field: impl Display, detail: &str) {
        self.push(field, format!("Forbidden: {detail}"));
    }

    pub(crate) fn unsupported(&mut self, field: impl Display, value: &str, supported: &[&str]) {
        let quoted: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        self.push(field, format!("Unsupported value: {value:?}: supported values: {}", quoted.join(", ")));
    }

    /// Complaints about a part of the document.
    pub(crate) fn nest(&mut self, path: impl Display, part: Vec<Complaint>) {
        for Complaint { field, reason } in part {
            let dot = if field.is_empty() { "" } else { "." };
            self.push(format_args!("{path}{dot}{field}"), reason);
        }
    }

    /// `Err` with all of them, if there are some.
    pub(crate) fn into_result(self) -> Result<(), Vec<Complaint>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// A duration as Go writes it: `1m30s`, `500ms`, `0s`.
pub(crate) fn go_duration(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let nanos = duration.as_nanos().unsigned_abs();
    if nanos != 0 && nanos < 1_000_000_000 {
        let (unit, size) = match nanos {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(nanos, size));
    }
    let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
    let seconds = decimal(rest, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `amount / size` with as many digits as it needs; `size` is a power of ten.
fn decimal(amount: u128, size: u128) -> String {
    let (whole, rest) = (amount / size, amount % size);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = size.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0digits$}").trim_end_matches('0'))
}

const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
    (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const DOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with \
    an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What keeps a text from being a qualified name (`name` or `example.com/name`), as the keys of labels and resources are.
pub(crate) fn unqualified(text: &str) -> Vec<String> {
    let parts: Vec<_> = text.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            return vec![format!(
                "a qualified name {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    let mut reasons = prefix.map(bad_prefix).unwrap_or_default();
    if name.is_empty() {
        reasons.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        reasons.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_word(name, |c| c.is_ascii_alphanumeric(), "-_.") {
        reasons.push(format!("name part {NAME}"));
    }
    reasons
}

fn bad_prefix(prefix: &str) -> Vec<String> {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if prefix.is_empty() {
        return vec!["prefix part must be non-empty".to_owned()];
    }
    let mut reasons = Vec::new();
    if prefix.len() > 253 {
        reasons.push("prefix part must be no more than 253 characters".to_owned());
    }
    if !prefix.split('.').all(|part| is_word(part, lower, "-")) {
        reasons.push(format!("prefix part {DOMAIN}"));
    }
    reasons
}

/// Whether a text begins and ends with an ordinary character and has only those and `inner` ones.
fn is_word(text: &str, ordinary: impl Fn(char) -> bool, inner: &str) -> bool {
    text.starts_with(&ordinary)
        && text.chars().next_back().is_some_and(&ordinary)
        && text.chars().all(|c| ordinary(c) || inner.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names() {
        for good in ["cpu", "example.com/gpu", "A.b_c-1", "a-b.c1/x", &"x".repeat(63)] {
            assert_eq!(unqualified(good), [""; 0], "{good}");
        }
        for (bad, reason) in [
            ("", "name part must be non-empty"),
            ("-a", "name part must consist of alphanumeric characters"),
            ("a_", "name part must consist of"),
            ("a/b/c", "a qualified name must consist of alphanumeric characters"),
            ("/b", "prefix part must be non-empty"),
            ("Example.com/b", "prefix part a lowercase RFC 1123 subdomain must consist of lower case"),
            ("a..b/c", "prefix part a lowercase RFC 1123 subdomain"),
            (&"x".repeat(64), "name part must be no more than 63 characters"),
        ] {
            assert!(unqualified(bad)[0].starts_with(reason), "{bad}: {:?}", unqualified(bad));
        }
    }

    #[test]
    fn durations_look_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (500_000_000, "500ms"),
            (15_000_000_000, "15s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(go_duration(SignedDuration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn parts_are_named_by_their_place_in_the_whole() {
        let (mut part, mut whole) = (Complaints::default(), Complaints::default());
        part.required("name", "can not be empty");
        whole.nest("list[2]", part.into_result().unwrap_err());
        whole.nest("list[3]", vec![Complaint::general("not an object")]);
        let found = join(&whole.into_result().unwrap_err());
        assert_eq!(found, "[list[2].name: Required value: can not be empty, list[3]: not an object]");
    }
}
