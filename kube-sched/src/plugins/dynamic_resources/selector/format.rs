//! `format` and `strings.quote`.

use super::evaluate::Failure;
use super::functions::text_of;
use super::value::Value;

fn wrong(rule: &str, value: &Value<'_>) -> Failure {
    Failure::Error(format!("error during formatting: {rule}, was given {}", value.type_name()))
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
        let value = values.get(taken).ok_or_else(|| Failure::Error(format!("index {taken} out of range")))?;
        taken += 1;
        let (precision, clause) = precision(clause)?;
        let mut chars = clause.chars();
        let kind = chars.next().ok_or_else(|| Failure::Error("unexpected end of string".to_owned()))?;
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
        ('d', value) => return Err(wrong("decimal clause can only be used on integers", value)),
        ('f' | 'e', value) => match (kind, number(value)) {
            ('f', Some(value)) => fixed(value, precision),
            (_, Some(value)) => scientific(value, precision),
            ('f', None) => return Err(wrong("fixed-point clause can only be used on doubles", value)),
            _ => return Err(wrong("scientific clause can only be used on doubles", value)),
        },
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b' | 'o' | 'x' | 'X', Value::Int(value)) => {
            let sign = if *value < 0 { "-" } else { "" };
            format!("{sign}{}", based(kind, value.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(value)) => based(kind, *value),
        ('x' | 'X', Value::Text(text)) => hex(kind, text.as_bytes()),
        ('x' | 'X', Value::Bytes(bytes)) => hex(kind, bytes),
        ('b', value) => return Err(wrong("only integers and bools can be formatted as binary", value)),
        ('o', value) => return Err(wrong("octal clause can only be used on integers", value)),
        ('x' | 'X', value) => {
            let rule = "only integers, byte buffers, and strings can be formatted as hex";
            return Err(wrong(rule, value));
        }
        (other, _) => return Err(unknown(&other.to_string())),
    })
}

/// A number, or a text that stands for what is none.
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::Text(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn hex(kind: char, bytes: &[u8]) -> String {
    let digits = |byte: &u8| if kind == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
    bytes.iter().map(digits).collect()
}

/// With commas between groups of three digits, as people in the United States write numbers.
fn fixed(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return unbounded(value);
    }
    let text = format!("{value:.precision$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

fn unbounded(value: f64) -> String {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "∞"
    } else {
        "-∞"
    }
    .to_owned()
}

fn based(kind: char, value: u64) -> String {
    match kind {
        'b' => format!("{value:b}"),
        'o' => format!("{value:o}"),
        'x' => format!("{value:x}"),
        _ => format!("{value:X}"),
    }
}

/// With the exponent written as a power of ten, of two digits at least.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return unbounded(value) };
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("\u{207b}", digits));
    let raised = |digit: char| {
        let raised = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
        digit
            .to_digit(10)
            .and_then(|digit| raised.get(usize::try_from(digit).ok()?))
            .copied()
            .unwrap_or(digit)
    };
    let exponent: String = format!("{digits:0>2}").chars().map(raised).collect();
    format!("{mantissa}\u{202f}×\u{202f}10{sign}{exponent}")
}

/// A value as `%s` writes it.
pub(super) fn plain(value: &Value<'_>) -> Result<String, Failure> {
    if let Some(text) = text_of(value)?.filter(|_| !matches!(value, Value::Ip(_) | Value::Cidr(_))) {
        return Ok(text.to_string());
    }
    Ok(match value {
        Value::Null => "null".to_owned(),
        Value::Type(name) => (*name).to_owned(),
        Value::List(items) => {
            let items = items.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entry =
                |(key, value): &(Value<'_>, Value<'_>)| Ok(format!("{}:{}", literal(key)?, literal(value)?));
            let mut entries = entries.iter().map(entry).collect::<Result<Vec<_>, Failure>>()?;
            entries.sort_unstable();
            format!("{{{}}}", entries.join(", "))
        }
        other => {
            let rule = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";
            return Err(wrong(rule, other));
        }
    })
}

/// A value within another, as it could stand in an expression.
fn literal(value: &Value<'_>) -> Result<String, Failure> {
    Ok(match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("b{:?}", String::from_utf8_lossy(bytes)),
        Value::Double(value) if value.is_finite() => format!("{value:.6}"),
        Value::Double(_) => format!("{:?}", plain(value)?),
        Value::Timestamp(_) => format!("timestamp({:?})", plain(value)?),
        Value::Duration(_) => format!("duration({:?})", plain(value)?),
        other => plain(other)?,
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
