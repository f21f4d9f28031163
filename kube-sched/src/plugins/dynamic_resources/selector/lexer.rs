//! From text to tokens.

use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Name(Arc<str>),
    /// Operators and punctuation.
    Sign(&'static str),
}

/// Longer signs first.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}", "=",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut rest, mut tokens) = (text, Vec::new());
    loop {
        rest = skip_blanks(rest);
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, left) = if first.is_ascii_digit() {
            number(rest)?
        } else if let Some(quoted) = quoted(rest)? {
            quoted
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Token::Name(rest[..end].into()), &rest[end..])
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("Syntax error: token recognition error at: '{first}'"))?;
            (Token::Sign(sign), &rest[sign.len()..])
        };
        tokens.push(token);
        rest = left;
    }
}

fn skip_blanks(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let Some(comment) = text.strip_prefix("//") else { return text };
        text = comment.split_once('\n').map_or("", |(_, rest)| rest);
    }
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let bad = |_| format!("invalid number at: '{}'", text.chars().take(20).collect::<String>());
    if let Some(hex) = text.strip_prefix("0x") {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let (digits, rest) = hex.split_at(end);
        return Ok(match rest.strip_prefix(['u', 'U']) {
            Some(rest) => (Token::Uint(u64::from_str_radix(digits, 16).map_err(bad)?), rest),
            None => (Token::Int(i64::from_str_radix(digits, 16).map_err(bad)?), rest),
        });
    }
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(text);
    let mut whole = true;
    if let Some(fraction) = text[end..].strip_prefix('.').filter(|rest| digits(rest) > 0) {
        end += 1 + digits(fraction);
        whole = false;
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits(signed) > 0 {
            end += 1 + (exponent.len() - signed.len()) + digits(signed);
            whole = false;
        }
    }
    let (number, rest) = text.split_at(end);
    if !whole {
        return Ok((Token::Double(number.parse().map_err(|_| format!("invalid number '{number}'"))?), rest));
    }
    Ok(match rest.strip_prefix(['u', 'U']) {
        Some(rest) => (Token::Uint(number.parse().map_err(bad)?), rest),
        // The smallest integer has no positive counterpart; nobody's device has it.
        None => (Token::Int(number.parse().map_err(bad)?), rest),
    })
}

/// A string, if there is one: in single, double or triple quotes, raw if an `r` is in front.
fn quoted(text: &str) -> Result<Option<(Token, &str)>, String> {
    let (raw, body) = match text.strip_prefix(['r', 'R']) {
        Some(body) if body.starts_with(['"', '\'']) => (true, body),
        _ => (false, text),
    };
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote)) else {
        return Ok(None);
    };
    let unterminated = || "Syntax error: unterminated string".to_owned();
    let (mut rest, mut content) = (&body[quote.len()..], String::new());
    loop {
        if let Some(rest) = rest.strip_prefix(quote) {
            return Ok(Some((Token::Text(content.into()), rest)));
        }
        let mut chars = rest.chars();
        match chars.next().ok_or_else(unterminated)? {
            '\n' if quote.len() == 1 => return Err(unterminated()),
            '\\' if !raw => {
                rest = escape(chars.as_str(), &mut content).ok_or("Syntax error: invalid escape")?
            }
            plain => {
                content.push(plain);
                rest = chars.as_str();
            }
        }
    }
}

/// Reads what stands after a backslash.
fn escape<'t>(text: &'t str, content: &mut String) -> Option<&'t str> {
    let mut chars = text.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    let coded = |rest: &'t str, length: usize, radix: u32| {
        let code = u32::from_str_radix(rest.get(..length)?, radix).ok()?;
        Some((char::from_u32(code)?, rest.get(length..)?))
    };
    let (char, rest) = match kind {
        'n' => ('\n', rest),
        't' => ('\t', rest),
        'r' => ('\r', rest),
        'a' => ('\u{7}', rest),
        'b' => ('\u{8}', rest),
        'f' => ('\u{c}', rest),
        'v' => ('\u{b}', rest),
        '\\' | '"' | '\'' | '`' | '?' => (kind, rest),
        'x' | 'X' => coded(rest, 2, 16)?,
        'u' => coded(rest, 4, 16)?,
        'U' => coded(rest, 8, 16)?,
        '0'..='3' => coded(text, 3, 8)?,
        _ => return None,
    };
    content.push(char);
    Some(rest)
}
