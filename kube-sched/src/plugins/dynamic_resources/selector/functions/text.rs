//! Texts, in which places are counted in characters.

use std::sync::Arc;

use super::super::evaluate::{Failure, Run};
use super::super::format::{format as formatted, quote};
use super::super::named::NamedFormat;
use super::super::value::Value;
use super::{Answer, Function, length, regex};

pub(super) fn call<'d>(
    function: Function,
    run: &mut Run<'d, '_>,
    text: &str,
    rest: &[Value<'d>],
) -> Answer<'d> {
    Ok(Some(match (function, rest) {
        (Function::Size | Function::SizeOf, []) => Value::Int(length(text.chars().count())),
        (Function::LowerAscii, []) => Value::text(text.to_ascii_lowercase()),
        (Function::UpperAscii, []) => Value::text(text.to_ascii_uppercase()),
        (Function::Trim, []) => Value::text(text.trim()),
        (Function::Quote, []) => Value::text(quote(text)),
        (Function::Contains, [Value::Text(other)]) => Value::Bool(text.contains(&**other)),
        (Function::StartsWith, [Value::Text(other)]) => Value::Bool(text.starts_with(&**other)),
        (Function::EndsWith, [Value::Text(other)]) => Value::Bool(text.ends_with(&**other)),
        (Function::Split, [Value::Text(at)]) => split(run, text, at, -1)?,
        (Function::Split, [Value::Text(at), Value::Int(limit)]) => split(run, text, at, *limit)?,
        (Function::Replace, [Value::Text(from), Value::Text(to)]) => replaced(run, text, from, to, None)?,
        (Function::Replace, [Value::Text(from), Value::Text(to), Value::Int(times)]) => {
            replaced(run, text, from, to, usize::try_from(*times).ok())?
        }
        (Function::Format, [Value::List(values)]) => {
            // A number may be written with a hundred digits.
            run.pay(text.len().saturating_add(values.len().saturating_mul(100)))?;
            Value::text(formatted(text, values)?)
        }
        (Function::Substring | Function::CharAt | Function::IndexOf | Function::LastIndexOf, _) => {
            return at_places(function, text, rest);
        }
        _ => return regex::call(function, run, text, rest),
    }))
}

/// What is asked of places in a text.
fn at_places<'d>(function: Function, text: &str, rest: &[Value<'d>]) -> Answer<'d> {
    let count = || text.chars().count();
    let part =
        |from: usize, to: usize| Value::text(text.chars().skip(from).take(to - from).collect::<String>());
    Ok(Some(match (function, rest) {
        (Function::IndexOf, [Value::Text(part)]) => Value::Int(after(text, part, 0)?),
        (Function::IndexOf, [Value::Text(part), Value::Int(from)]) => Value::Int(after(text, part, *from)?),
        (Function::LastIndexOf, [Value::Text(part)]) => {
            let last = if part.is_empty() { length(count()) } else { length(count()) - 1 };
            Value::Int(if text.len() < part.len() { -1 } else { before(text, part, last)? })
        }
        (Function::LastIndexOf, [Value::Text(part), Value::Int(to)]) => Value::Int(before(text, part, *to)?),
        (Function::Substring, [Value::Int(from)]) => part(place(*from, count())?, count()),
        (Function::Substring, [Value::Int(from), Value::Int(to)]) => {
            if from > to {
                let text = format!("invalid substring range. start: {from}, end: {to}");
                return Err(text.into());
            }
            part(place(*from, count())?, place(*to, count())?)
        }
        (Function::CharAt, [Value::Int(at)]) => {
            let at = place(*at, count())?;
            part(at, at + 1)
        }
        _ => return Ok(None),
    }))
}

/// What is wrong with a text that should be in a format; nothing if it is.
pub(super) fn validated<'d>(
    function: Function,
    format: NamedFormat,
    rest: &[Value<'d>],
) -> Option<Value<'d>> {
    let (Function::Validate, [Value::Text(text)]) = (function, rest) else { return None };
    let complaints: Vec<_> = format.complaints(text).into_iter().map(Value::text).collect();
    Some(Value::Optional((!complaints.is_empty()).then(|| Arc::new(Value::list(complaints)))))
}

fn outside(index: i64) -> Failure {
    Failure::Error(format!("index out of range: {index}"))
}

fn place(index: i64, most: usize) -> Result<usize, Failure> {
    usize::try_from(index).ok().filter(|place| *place <= most).ok_or_else(|| outside(index))
}

/// A text with up to so many occurrences of one part replaced by another, all of them without a number.
fn replaced<'d>(
    run: &mut Run<'d, '_>,
    text: &str,
    from: &str,
    to: &str,
    times: Option<usize>,
) -> Result<Value<'d>, Failure> {
    // An empty text is found everywhere.
    let found = if from.is_empty() { text.len() + 1 } else { text.matches(from).count() };
    let times = times.map_or(found, |times| times.min(found));
    run.pay(text.len().saturating_add(times.saturating_mul(to.len())))?;
    Ok(Value::text(text.replacen(from, to, times)))
}

/// The parts of a text, at most so many; all of them if the limit is negative.
fn split<'d>(run: &mut Run<'d, '_>, text: &str, at: &str, limit: i64) -> Result<Value<'d>, Failure> {
    run.pay(10 * text.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if !at.is_empty() {
        return Ok(Value::list(text.splitn(limit, at).map(Value::text).collect()));
    }
    // Every character by itself, and the rest in the last part.
    let single = limit.saturating_sub(1).min(text.chars().count());
    let end = text.char_indices().nth(single).map_or(text.len(), |(end, _)| end);
    let rest = text.get(end..).filter(|rest| limit > 0 && !rest.is_empty());
    let chars = text.chars().take(single).map(|char| Value::text(char.to_string()));
    Ok(Value::list(chars.chain(rest.map(Value::text)).collect()))
}

fn chars_before(text: &str, at: usize) -> i64 {
    length(text.get(..at).map_or(0, |before| before.chars().count()))
}

/// Where a part is found first, at a character or after it; -1 for nowhere.
fn after(text: &str, part: &str, from: i64) -> Result<i64, Failure> {
    if part.is_empty() {
        return Ok(from);
    }
    let place = usize::try_from(from).map_err(|_| outside(from))?;
    let Some((start, _)) = text.char_indices().nth(place) else { return Ok(-1) };
    let found = text.get(start..).and_then(|rest| rest.find(part));
    Ok(found.map_or(-1, |at| chars_before(text, start + at)))
}

/// Where a part is found last, at a character or before it; -1 for nowhere.
fn before(text: &str, part: &str, to: i64) -> Result<i64, Failure> {
    if part.is_empty() {
        return Ok(to);
    }
    let place = usize::try_from(to).map_err(|_| outside(to))?;
    let Some((start, _)) = text.char_indices().nth(place) else { return Ok(-1) };
    let end = start.saturating_add(part.len()).min(text.len());
    let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    let found = text.get(..end).and_then(|front| front.rfind(part));
    Ok(found.map_or(-1, |at| chars_before(text, at)))
}
