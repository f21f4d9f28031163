//! Quantities and semantic versions.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::evaluate::Failure;
use super::super::semver::Version;
use super::super::value::Value;
use super::{Answer, Function};
use crate::resources::nano_value;

/// A unit of quantities, in which they are counted.
const UNIT: i128 = 1_000_000_000;

/// Makes a quantity or a version of a text.
pub(super) fn of_text<'d>(function: Function, text: &str, rest: &[Value<'d>]) -> Answer<'d> {
    let version = || match rest {
        [Value::Bool(true)] => Some(Version::parse_tolerantly(text)),
        [] | [Value::Bool(false)] => Some(Version::parse(text)),
        _ => None,
    };
    Ok(match function {
        Function::Quantity => Some(Value::Quantity(nano_value(text).ok_or_else(|| malformed(text))?)),
        Function::IsQuantity => Some(Value::Bool(nano_value(text).is_some())),
        Function::Semver => match version() {
            Some(version) => Some(Value::Version(Arc::new(version?))),
            None => None,
        },
        Function::IsSemver => version().map(|version| Value::Bool(version.is_ok())),
        _ => None,
    })
}

/// Upstream tells a suffix that is none from a text that looks like no quantity at all.
fn malformed(text: &str) -> Failure {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let suffix = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let exponent = suffix.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if suffix.len() < number.len() && exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return Failure::Error("unable to parse quantity's suffix".to_owned());
    }
    let regex = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";
    Failure::Error(format!("quantities must match the regular expression '{regex}'"))
}

pub(super) fn of_quantity<'d>(function: Function, amount: i128, rest: &[Value<'d>]) -> Answer<'d> {
    let other = match rest {
        [] => 0,
        [Value::Quantity(other)] => *other,
        [Value::Int(other)] if matches!(function, Function::Add | Function::Sub) => i128::from(*other) * UNIT,
        _ => return Ok(None),
    };
    let whole = (amount % UNIT == 0).then(|| i64::try_from(amount / UNIT).ok()).flatten();
    let overflow = || Failure::Error("quantity overflow".to_owned());
    Ok(Some(match function {
        Function::CompareTo => Value::Int(sign(amount.cmp(&other))),
        Function::IsGreaterThan => Value::Bool(amount > other),
        Function::IsLessThan => Value::Bool(amount < other),
        Function::Add => Value::Quantity(amount.checked_add(other).ok_or_else(overflow)?),
        Function::Sub => Value::Quantity(amount.checked_sub(other).ok_or_else(overflow)?),
        Function::Sign | Function::SignOf => Value::Int(sign(amount.cmp(&0))),
        Function::IsInteger => Value::Bool(whole.is_some()),
        Function::AsInteger => {
            let none = || Failure::Error("cannot convert value to integer".to_owned());
            Value::Int(whole.ok_or_else(none)?)
        }
        Function::AsApproximateFloat => Value::Double(approximate(amount)),
        _ => return Ok(None),
    }))
}

pub(super) fn of_version<'d>(function: Function, version: &Version, rest: &[Value<'d>]) -> Option<Value<'d>> {
    let number = |place: usize| Value::Int(i64::try_from(version.numbers[place]).unwrap_or(i64::MAX));
    match (function, rest) {
        (Function::Major, []) => Some(number(0)),
        (Function::Minor, []) => Some(number(1)),
        (Function::Patch, []) => Some(number(2)),
        (Function::CompareTo, [Value::Version(other)]) => Some(Value::Int(sign(version.cmp(other)))),
        (Function::IsGreaterThan, [Value::Version(other)]) => Some(Value::Bool(version > &**other)),
        (Function::IsLessThan, [Value::Version(other)]) => Some(Value::Bool(version < &**other)),
        _ => None,
    }
}

fn sign(order: Ordering) -> i64 {
    match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

#[expect(clippy::cast_precision_loss, reason = "approximate is what was asked for")]
fn approximate(amount: i128) -> f64 {
    amount as f64 / 1e9
}
