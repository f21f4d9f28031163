//! The formats that have a name, and what is wrong with texts that are not in them.

use super::url::Url;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// A format of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedFormat {
    Dns1123Label,
    Dns1123Subdomain,
    Dns1035Label,
    QualifiedName,
    Dns1123LabelPrefix,
    Dns1123SubdomainPrefix,
    Dns1035LabelPrefix,
    LabelValue,
    Uri,
    Uuid,
    Byte,
    Date,
    Datetime,
}

impl NamedFormat {
    pub(super) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "dns1123Label" => Self::Dns1123Label,
            "dns1123Subdomain" => Self::Dns1123Subdomain,
            "dns1035Label" => Self::Dns1035Label,
            "qualifiedName" => Self::QualifiedName,
            "dns1123LabelPrefix" => Self::Dns1123LabelPrefix,
            "dns1123SubdomainPrefix" => Self::Dns1123SubdomainPrefix,
            "dns1035LabelPrefix" => Self::Dns1035LabelPrefix,
            "labelValue" => Self::LabelValue,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            "byte" => Self::Byte,
            "date" => Self::Date,
            "datetime" => Self::Datetime,
            _ => return None,
        })
    }

    /// What is wrong with a text; nothing if it is in this format.
    pub(super) fn complaints(self, text: &str) -> Vec<String> {
        let unless = |fine: bool, complaint: &str| {
            if fine { Vec::new() } else { vec![complaint.to_owned()] }
        };
        match self {
            Self::Dns1123Label => label(text),
            Self::Dns1123Subdomain => subdomain(text),
            Self::Dns1035Label => label_of_1035(text),
            Self::Dns1123LabelPrefix => label(&completed(text)),
            Self::Dns1123SubdomainPrefix => subdomain(&completed(text)),
            Self::Dns1035LabelPrefix => label_of_1035(&completed(text)),
            Self::QualifiedName => qualified_name(text),
            Self::LabelValue => label_value(text),
            Self::Uri => Url::check(text).err().into_iter().collect(),
            Self::Uuid => unless(is_uuid(text), "does not match the UUID format"),
            Self::Byte => unless(is_base64(text), "invalid base64"),
            Self::Date => {
                unless(text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10, "invalid date")
            }
            Self::Datetime => unless(is_datetime(text), "invalid datetime"),
        }
    }
}

/// A prefix as it could be when something is appended to it.
fn completed(prefix: &str) -> String {
    match prefix.len() {
        length @ 2.. if prefix.ends_with('-') => {
            format!("{}a", prefix.get(..length - 2).unwrap_or(prefix))
        }
        _ => prefix.to_owned(),
    }
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Whether it can be the name of a label.
fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn too_long(text: &str, most: usize, unit: &str) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} {unit}"))
}

fn mismatch(rule: &str, examples: &str, regex: &str) -> String {
    format!("{rule} (e.g. {examples}, regex used for validation is '{regex}')")
}

fn label(text: &str) -> Vec<String> {
    let shape = match (is_label(text), is_subdomain(text)) {
        (true, _) => None,
        (false, true) => Some("must not contain dots".to_owned()),
        (false, false) => Some(mismatch(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            "'my-name',  or '123-abc'",
            LABEL,
        )),
    };
    too_long(text, 63, "characters").into_iter().chain(shape).collect()
}

fn subdomain(text: &str) -> Vec<String> {
    let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
    let shape =
        (!is_subdomain(text)).then(|| mismatch(rule, "'example.com'", &format!(r"{LABEL}(\.{LABEL})*")));
    too_long(text, 253, "characters").into_iter().chain(shape).collect()
}

fn label_of_1035(text: &str) -> Vec<String> {
    let rule = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
    let fine = is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase());
    let shape = (!fine).then(|| mismatch(rule, "'my-name',  or 'abc-123'", "[a-z]([-a-z0-9]*[a-z0-9])?"));
    too_long(text, 63, "characters").into_iter().chain(shape).collect()
}

fn qualified_name(text: &str) -> Vec<String> {
    let rule = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let mismatch = || mismatch(rule, "'MyName',  or 'my.name',  or '123-abc'", KEY);
    let (prefix, name) = match text.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {optional}", mismatch())];
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let mut complaints = match prefix {
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => subdomain(prefix).iter().map(|text| format!("prefix part {text}")).collect(),
        None => Vec::new(),
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    }
    complaints.extend(too_long(name, 63, "bytes").map(|text| format!("name part {text}")));
    if !is_key(name) {
        complaints.push(format!("name part {}", mismatch()));
    }
    complaints
}

fn label_value(text: &str) -> Vec<String> {
    let rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let shape = (!text.is_empty() && !is_key(text))
        .then(|| mismatch(rule, "'MyValue',  or 'my_value',  or '12345'", &format!("({KEY})?")));
    too_long(text, 63, "bytes").into_iter().chain(shape).collect()
}

/// Groups of hexadecimal digits, with hyphens between them or without.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (place, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if place > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((group, more)) = rest.split_at_checked(length) else { return false };
        if !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return false;
        }
        rest = more;
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    !text.is_empty() && text.len().is_multiple_of(4) && digits.bytes().all(digit)
}

fn is_datetime(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut parts = text.split('t');
    let (Some(day), Some(time)) = (parts.next(), parts.next()) else { return false };
    day.len() == 10 && day.parse::<jiff::civil::Date>().is_ok() && is_time(time)
}

/// A time of the day with a fraction, if any, and a zone. The fraction may stand behind any sign.
fn is_time(time: &str) -> bool {
    let Some((clock, rest)) = time.split_at_checked(8) else { return false };
    let bytes = clock.as_bytes();
    let two = |from: usize, most: &str| {
        clock.get(from..from + 2).is_some_and(|part| part <= most && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let clock = two(0, "23") && two(3, "59") && two(6, "59") && [bytes[2], bytes[5]] == [b':', b':'];
    let mut chars = rest.chars();
    let fraction = match chars.next() {
        Some(_) => chars.as_str().find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0),
        None => None,
    };
    let without_fraction = fraction.and_then(|end| chars.as_str().get(end..));
    clock && (is_zone(rest) || without_fraction.is_some_and(is_zone))
}

fn is_zone(zone: &str) -> bool {
    match zone.as_bytes() {
        b"z" => true,
        [b'+' | b'-', rest @ ..] if rest.len() == 5 => {
            rest[2] == b':' && rest.iter().enumerate().all(|(at, byte)| at == 2 || byte.is_ascii_digit())
        }
        _ => false,
    }
}
