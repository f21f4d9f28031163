//! `format` and `strings.quote`.

use super::evaluate::Failure;
use super::value::Value;

fn wrong(clause: &str, wanted: &str, value: &Value<'_>) -> Failure {
    let given = value.type_name();
    Failure::Error(format!(
        "error during formatting: {clause} clause can only be used on {wanted}, was given {given}"
    ))
}

/// The text of `%…` clauses filled in with the values, one after the other.
pub(super) fn format(text: &str, values: &[Value<'_>]) -> Result<String, Failure> {
    let (mut out, mut rest, mut taken) = (String::new(), text, 0);
    while let Some((before, clause)) = rest.split_once('%') {
        out += before;
        if let Some(after) = clause.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, clause) = precision(clause)?;
        let mut chars = clause.chars();
        let kind = chars.next().ok_or_else(|| unknown(""))?;
        let value = values.get(taken).ok_or_else(|| Failure::Error(format!("index {taken} out of range")))?;
        taken += 1;
        out += &filled(kind, precision, value)?;
        rest = chars.as_str();
    }
    Ok(out + rest)
}

fn unknown(clause: &str) -> Failure {
    Failure::Error(format!("could not parse formatting clause: unrecognized formatting clause {clause:?}"))
}

/// The number of digits that a clause such as `.3f` begins with, and what follows it.
fn precision(clause: &str) -> Result<(usize, &str), Failure> {
    let Some(digits) = clause.strip_prefix('.') else { return Ok((6, clause)) };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    match digits.parse() {
        // More digits than a number has, and no more memory than the budget was charged for.
        Ok(digits @ 0..=100) => Ok((digits, rest)),
        _ => Err(Failure::Error(format!("error while parsing precision: {digits:?}"))),
    }
}

fn filled(kind: char, precision: usize, value: &Value<'_>) -> Result<String, Failure> {
    Ok(match (kind, value) {
        ('s', value) => plain(value)?,
        ('d', Value::Int(value)) => value.to_string(),
        ('d', Value::Uint(value)) => value.to_string(),
        ('d', value) => return Err(wrong("decimal", "integers", value)),
        ('f', Value::Double(value)) => format!("{value:.precision$}"),
        ('f', value) => return Err(wrong("fixed-point", "doubles", value)),
        ('e', Value::Double(value)) => scientific(*value, precision),
        ('e', value) => return Err(wrong("scientific", "doubles", value)),
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b' | 'o' | 'x' | 'X', Value::Int(value)) => {
            let sign = if *value < 0 { "-" } else { "" };
            format!("{sign}{}", based(kind, value.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(value)) => based(kind, *value),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('b', value) => return Err(wrong("binary", "integers and bools", value)),
        ('o', value) => return Err(wrong("octal", "integers", value)),
        ('x' | 'X', value) => return Err(wrong("hex", "integers, byte buffers, and strings", value)),
        (other, _) => return Err(unknown(&other.to_string())),
    })
}

fn based(kind: char, value: u64) -> String {
    match kind {
        'b' => format!("{value:b}"),
        'o' => format!("{value:o}"),
        'x' => format!("{value:x}"),
        _ => format!("{value:X}"),
    }
}

/// With an exponent of two digits at least, as in Go.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        // Not a number.
        None => text,
    }
}

fn plain(value: &Value<'_>) -> Result<String, Failure> {
    Ok(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Text(text) => text.to_string(),
        Value::List(items) => {
            let items = items.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entry =
                |(key, value): &(Value<'_>, Value<'_>)| Ok(format!("{}: {}", plain(key)?, plain(value)?));
            let mut entries = entries.iter().map(entry).collect::<Result<Vec<_>, Failure>>()?;
            entries.sort_unstable();
            format!("{{{}}}", entries.join(", "))
        }
        other => {
            let kinds = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";
            return Err(wrong("string", kinds, other));
        }
    })
}

/// The text in quotes, with what cannot be seen written out.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        let escaped = match char {
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            '\\' | '"' => char,
            plain => {
                quoted.push(plain);
                continue;
            }
        };
        quoted.extend(['\\', escaped]);
    }
    quoted + "\""
}
