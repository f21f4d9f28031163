//! Field selectors.

use std::borrow::Cow;
use std::fmt;

use super::SelectorError;

/// One condition on one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field: `spec.nodeName`.
    pub field: String,
    /// Whether the value must be equal or must differ.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// Conditions that must all hold. The empty selector matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    /// In the order given.
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses `spec.nodeName=a,status.phase!=Running`; `\,`, `\=` and `\\` in values stand for themselves.
    ///
    /// # Errors
    /// [`SelectorError`] with the text upstream's parser gives.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in terms(text).filter(|t| !t.is_empty()) {
            requirements.push(requirement(term).ok_or_else(|| {
                SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'"))
            })??);
        }
        Ok(Self { requirements })
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object is selected; `lookup` gives the value of a field, empty when absent.
    pub fn matches<'v>(&self, lookup: impl Fn(&str) -> Cow<'v, str>) -> bool {
        self.requirements.iter().all(|r| (lookup(&r.field) == r.value.as_str()) == r.equal)
    }

    /// The value that this field must have, when the selector asks for exactly one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if r.equal { "=" } else { "!=" };
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", r.field)?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash precedes.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let split = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        split
    })
}

fn requirement(term: &str) -> Option<Result<FieldRequirement, SelectorError>> {
    let at = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(at);
    let (equal, value) = match rest {
        _ if rest.starts_with("!=") => (false, rest.get(2..)?),
        _ if rest.starts_with("==") => (true, rest.get(2..)?),
        _ if rest.starts_with('=') => (true, rest.get(1..)?),
        _ => return None,
    };
    Some(unescape(value).map(|value| FieldRequirement { field: field.to_owned(), equal, value }))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => {
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: \\{c}"
                    )));
                }
                None => {
                    return Err(SelectorError(
                        "invalid field selector: invalid escape sequence: \\".to_owned(),
                    ));
                }
            },
            ',' | '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {c}"
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}
