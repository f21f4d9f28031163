//! What names, labels and keys may look like, with Kubernetes' words for what is wrong.
//!
//! The functions return one text per complaint, none when the value is valid. They are written by hand instead of with
//! regular expressions, because each runs on every request; the patterns appear in the texts only.

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// What a kind's names may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameRule {
    /// Up to 253 bytes of labels joined by dots: most kinds.
    Dns1123Subdomain,
    /// Up to 63 bytes, no dots: namespaces.
    Dns1123Label,
    /// Up to 63 bytes, no dots, starting with a letter: services.
    Dns1035Label,
    /// Anything that can be a path segment: RBAC.
    PathSegment,
}

impl NameRule {
    /// What is wrong with a name. `prefix`: it is the start of a name to be generated and may end in a dash.
    pub fn complaints(self, name: &str, prefix: bool) -> Vec<String> {
        // A dash at the end is masked as upstream does, because the generated suffix will follow it.
        let masked = match name.strip_suffix('-') {
            Some(rest) if prefix && self != Self::PathSegment => format!("{rest}a"),
            _ => name.to_owned(),
        };
        match self {
            Self::Dns1123Subdomain => dns1123_subdomain(&masked),
            Self::Dns1123Label => dns1123_label(&masked),
            Self::Dns1035Label => dns1035_label(&masked),
            Self::PathSegment => path_segment(name, prefix),
        }
    }
}

/// `message (e.g. 'a',  or 'b', regex used for validation is '…')`: how complaints about patterns end.
pub fn pattern_complaint(message: &str, pattern: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{pattern}')");
    }
    let listed: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{pattern}')", listed.join(" or "))
}

fn max_length(name: &str, max: usize, unit: &str, complaints: &mut Vec<String>) {
    if name.len() > max {
        complaints.push(format!("must be no more than {max} {unit}"));
    }
}

fn is_lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Whether the text is non-empty, starts and ends with an `edge` byte and has only `edge` and `inner` bytes.
fn shaped(text: &str, edge: fn(u8) -> bool, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    edge(*first) && edge(*last) && bytes.iter().all(|b| edge(*b) || inner.contains(b))
}

fn is_dns1123_subdomain(text: &str) -> bool {
    text.split('.').all(|label| shaped(label, is_lower, b"-"))
}

/// An RFC 1123 label: lower-case alphanumerics and dashes, up to 63.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    max_length(name, 63, "bytes", &mut complaints);
    if shaped(name, is_lower, b"-") {
        return complaints;
    }
    complaints.push(if is_dns1123_subdomain(name) {
        "must not contain dots".to_owned()
    } else {
        pattern_complaint(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
             and end with an alphanumeric character",
            DNS1123_LABEL,
            &["my-name", "123-abc"],
        )
    });
    complaints
}

/// An RFC 1123 subdomain: labels joined by dots, up to 253.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    max_length(name, 253, "bytes", &mut complaints);
    if !is_dns1123_subdomain(name) {
        complaints.push(pattern_complaint(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            &format!("{DNS1123_LABEL}(\\.{DNS1123_LABEL})*"),
            &["example.com"],
        ));
    }
    complaints
}

/// An RFC 1035 label: as RFC 1123, but starting with a letter.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    max_length(name, 63, "characters", &mut complaints);
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !starts || !shaped(name, is_lower, b"-") {
        complaints.push(pattern_complaint(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    complaints
}

/// A name that is one segment of a path.
pub fn path_segment(name: &str, prefix: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    if !prefix && matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    for banned in ["/", "%"] {
        if name.contains(banned) {
            complaints.push(format!("may not contain '{banned}'"));
        }
    }
    complaints
}

/// A label key, annotation key or finalizer: a name of up to 63 bytes, optionally after `domain/`.
pub fn label_key(key: &str) -> Vec<String> {
    const MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let examples = ["MyName", "my.name", "123-abc"];
    let mut complaints = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                complaints.push("prefix part must be non-empty".to_owned());
            } else {
                complaints.extend(dns1123_subdomain(prefix).iter().map(|c| format!("prefix part {c}")));
            }
            name
        }
        Some(_) => {
            let words = pattern_complaint(MESSAGE, LABEL_KEY, &examples);
            return vec![format!(
                "a valid label key {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        complaints.push("name part must be no more than 63 bytes".to_owned());
    }
    if !shaped(name, |b| b.is_ascii_alphanumeric(), b"-_.") {
        complaints.push(format!("name part {}", pattern_complaint(MESSAGE, LABEL_KEY, &examples)));
    }
    complaints
}

/// A label value: empty, or up to 63 bytes.
pub fn label_value(value: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    max_length(value, 63, "bytes", &mut complaints);
    if !value.is_empty() && !shaped(value, |b| b.is_ascii_alphanumeric(), b"-_.") {
        complaints.push(pattern_complaint(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            &format!("({LABEL_KEY})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    complaints
}

/// A key of a ConfigMap or Secret.
pub fn config_key(key: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    max_length(key, 253, "characters", &mut complaints);
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        complaints.push(pattern_complaint(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match key {
        "." => complaints.push("must not be '.'".to_owned()),
        ".." => complaints.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => complaints.push("must not start with '..'".to_owned()),
        _ => {}
    }
    complaints
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_name(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.is_empty() {
        complaints.push("environment variable name must be non-empty".to_owned());
    }
    if !name.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b'=') {
        complaints.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    complaints
}

/// The name of a port: up to 15 lower-case alphanumerics and dashes with at least one letter.
pub fn port_name(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |text: &str| complaints.push(text.to_owned());
    if name.len() > 15 {
        complain("must be no more than 15 characters");
    }
    if name.is_empty() || !name.bytes().all(|b| is_lower(b) || b == b'-') {
        complain("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        complain("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        complain("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        complain("must not begin or end with a hyphen");
    }
    complaints
}

/// A port number.
pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}
