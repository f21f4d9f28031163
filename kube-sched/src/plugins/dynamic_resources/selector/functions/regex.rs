//! Regular expressions.

use std::sync::Arc;

use regex::{Error, Regex, RegexBuilder};

use super::super::evaluate::{Failure, Run};
use super::super::value::Value;
use super::{Answer, Function};

/// A compiled regular expression takes no more memory, in bytes, than the first while it is used, and than the second to be kept.
const MAX_USED: usize = 1 << 20;
const MAX_KEPT: usize = 1 << 17;

fn compiled(pattern: &str, most: usize) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).size_limit(most).dfa_size_limit(most).build()
}

/// A pattern that stands in an expression, compiled so that it is not compiled for each device; as it is if that took too much memory.
pub(in super::super) fn kept(pattern: &Arc<str>) -> Result<Value<'static>, String> {
    match compiled(pattern, MAX_KEPT) {
        Ok(regex) => Ok(Value::Pattern(Arc::new(regex))),
        Err(Error::CompiledTooBig(_)) => Ok(Value::Text(Arc::clone(pattern))),
        Err(error) => Err(format!("error parsing regexp: {error}")),
    }
}

/// The cost is that of running it too: an automaton takes a step for each byte.
fn regex(run: &mut Run<'_, '_>, text: &str, pattern: &Value<'_>) -> Result<Option<Arc<Regex>>, Failure> {
    let running = |pattern: &str| text.len().saturating_mul(pattern.len() / 4 + 1);
    match pattern {
        Value::Pattern(regex) => {
            run.pay(running(regex.as_str()))?;
            Ok(Some(Arc::clone(regex)))
        }
        Value::Text(pattern) => {
            run.pay((100 * pattern.len()).saturating_add(running(pattern)))?;
            let regex = compiled(pattern, MAX_USED);
            let failed = |error| Failure::Error(format!("error parsing regexp: {error}"));
            Ok(Some(Arc::new(regex.map_err(failed)?)))
        }
        _ => Ok(None),
    }
}

/// What is asked about matches of a pattern in a text.
pub(super) fn call<'d>(
    function: Function,
    run: &mut Run<'d, '_>,
    text: &str,
    rest: &[Value<'d>],
) -> Answer<'d> {
    let (pattern, most) = match (function, rest) {
        (Function::Matches | Function::MatchesOf | Function::Find | Function::FindAll, [pattern]) => {
            (pattern, usize::MAX)
        }
        (Function::FindAll, [pattern, Value::Int(most)]) => {
            (pattern, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return Ok(None),
    };
    let Some(regex) = regex(run, text, pattern)? else { return Ok(None) };
    Ok(Some(match function {
        Function::Find => Value::text(regex.find(text).map_or("", |found| found.as_str())),
        Function::FindAll => {
            run.pay(10 * text.len())?;
            Value::list(regex.find_iter(text).take(most).map(|found| Value::text(found.as_str())).collect())
        }
        _ => Value::Bool(regex.is_match(text)),
    }))
}
