//! From text to tokens.

use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// As large as the smallest integer is without its sign, at most.
    Int(i128),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
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
        let point_first =
            rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let (token, left) = if first.is_ascii_digit() || point_first {
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
    let (hex, body) = text.strip_prefix("0x").map_or((false, text), |body| (true, body));
    let digits = |text: &str| {
        text.find(|c: char| !(c.is_ascii_digit() || hex && c.is_ascii_hexdigit())).unwrap_or(text.len())
    };
    let mut end = digits(body);
    let mut whole = true;
    if let Some(fraction) = body[end..].strip_prefix('.').filter(|rest| !hex && digits(rest) > 0) {
        end += 1 + digits(fraction);
        whole = false;
    }
    if let Some(exponent) = body[end..].strip_prefix(['e', 'E']).filter(|_| !hex) {
        let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits(signed) > 0 {
            end += 1 + (exponent.len() - signed.len()) + digits(signed);
            whole = false;
        }
    }
    let (number, rest) = body.split_at(end);
    if !whole {
        return Ok((Token::Double(number.parse().map_err(|_| "invalid double literal")?), rest));
    }
    let radix = if hex { 16 } else { 10 };
    if let Some(rest) = rest.strip_prefix(['u', 'U']) {
        let value = u64::from_str_radix(number, radix).map_err(|_| "invalid uint literal")?;
        return Ok((Token::Uint(value), rest));
    }
    // The smallest integer has no positive counterpart.
    match i128::from_str_radix(number, radix) {
        Ok(value) if value <= 1 << 63 => Ok((Token::Int(value), rest)),
        _ => Err("invalid int literal".to_owned()),
    }
}

/// A string, if there is one: in single, double or triple quotes, raw if an `r` is in front, and of bytes if a `b` is.
fn quoted(text: &str) -> Result<Option<(Token, &str)>, String> {
    let (bytes, body) = text.strip_prefix(['b', 'B']).map_or((false, text), |body| (true, body));
    let (raw, body) = body.strip_prefix(['r', 'R']).map_or((false, body), |body| (true, body));
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote)) else {
        return Ok(None);
    };
    let unterminated = || "Syntax error: unterminated string".to_owned();
    let (mut rest, mut content) = (&body[quote.len()..], Vec::new());
    loop {
        if let Some(rest) = rest.strip_prefix(quote) {
            return Ok(Some((token(bytes, content)?, rest)));
        }
        let mut chars = rest.chars();
        match chars.next().ok_or_else(unterminated)? {
            '\n' | '\r' if quote.len() == 1 => return Err(unterminated()),
            '\\' if !raw => {
                rest = escape(chars.as_str(), bytes, &mut content).ok_or("unable to unescape string")?;
            }
            '\r' => {
                // All ends of lines are the same.
                content.push(b'\n');
                rest = chars.as_str().strip_prefix('\n').unwrap_or(chars.as_str());
            }
            plain => {
                push(plain, &mut content);
                rest = chars.as_str();
            }
        }
    }
}

fn token(bytes: bool, content: Vec<u8>) -> Result<Token, String> {
    if bytes {
        return Ok(Token::Bytes(content.into()));
    }
    String::from_utf8(content).map(|text| Token::Text(text.into())).map_err(|error| error.to_string())
}

fn push(char: char, content: &mut Vec<u8>) {
    content.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads what stands after a backslash. Codes are those of bytes among bytes, and of characters otherwise.
fn escape<'t>(text: &'t str, bytes: bool, content: &mut Vec<u8>) -> Option<&'t str> {
    let mut chars = text.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    let plain = match kind {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '\\' | '"' | '\'' | '`' | '?' => kind,
        _ => {
            let (from, length, radix) = match kind {
                'x' | 'X' => (rest, 2, 16),
                'u' if !bytes => (rest, 4, 16),
                'U' if !bytes => (rest, 8, 16),
                '0'..='3' => (text, 3, 8),
                _ => return None,
            };
            let (code, rest) = from.split_at_checked(length)?;
            let code = u32::from_str_radix(code.strip_prefix('+').map_or(code, |_| ""), radix).ok()?;
            match bytes {
                true => content.push(u8::try_from(code).ok()?),
                false => push(char::from_u32(code)?, content),
            }
            return Some(rest);
        }
    };
    push(plain, content);
    Some(rest)
}
