//! Operators with two sides.

use std::cmp::Ordering;

use super::ast::Operator;
use super::evaluate::{Evaluated, Failure, Run, no_overload, size_of};
use super::value::Value;

impl<'d> Run<'d, '_> {
    pub(super) fn binary(
        &mut self,
        operator: Operator,
        left: &Value<'d>,
        right: &Value<'d>,
    ) -> Evaluated<'d> {
        match operator {
            Operator::Equal | Operator::NotEqual => {
                self.pay(size_of(left).saturating_add(size_of(right)))?;
                Ok(Value::Bool(left.equals(right) == (operator == Operator::Equal)))
            }
            Operator::Less => ordered(left, right, Ordering::is_lt),
            Operator::LessOrEqual => ordered(left, right, Ordering::is_le),
            Operator::Greater => ordered(left, right, Ordering::is_gt),
            Operator::GreaterOrEqual => ordered(left, right, Ordering::is_ge),
            Operator::In => self.contains(right, left).map(Value::Bool),
            Operator::Add => self.add(left, right),
            _ => arithmetic(operator, left, right),
        }
    }

    pub(super) fn contains(&mut self, whole: &Value<'d>, element: &Value<'d>) -> Result<bool, Failure> {
        match whole {
            // A domain without facts can be looked up, but is not there.
            Value::Domains(..) | Value::List(_) | Value::Map(_) => {
                let elements = whole.elements().unwrap_or_default();
                self.pay(size_of(whole).saturating_add(10 * elements.len()))?;
                Ok(elements.iter().any(|other| other.equals(element)))
            }
            Value::Domain(..) => Ok(whole.at(element)?.is_some()),
            _ => Err(no_overload()),
        }
    }

    pub(super) fn add(&mut self, left: &Value<'d>, right: &Value<'d>) -> Evaluated<'d> {
        Ok(match (left, right) {
            (Value::Text(a), Value::Text(b)) => {
                self.pay(a.len() + b.len())?;
                Value::text(format!("{a}{b}"))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.pay(a.len() + b.len())?;
                Value::Bytes(a.iter().chain(b.iter()).copied().collect())
            }
            (Value::List(a), Value::List(b)) => {
                self.pay(10 * (a.len() + b.len()))?;
                Value::list(a.iter().chain(b.iter()).cloned().collect())
            }
            (Value::Timestamp(moment), Value::Duration(span))
            | (Value::Duration(span), Value::Timestamp(moment)) => {
                Value::Timestamp(moment.plus(i128::from(*span))?)
            }
            _ => arithmetic(Operator::Add, left, right)?,
        })
    }
}

fn ordered<'d>(left: &Value<'d>, right: &Value<'d>, wanted: fn(Ordering) -> bool) -> Evaluated<'d> {
    // What is not a number is not in any order, and no error.
    let undefined = matches!((left, right), (Value::Double(_), _) | (_, Value::Double(_)));
    match left.compare(right) {
        Some(order) if left.is_comparable() => Ok(Value::Bool(wanted(order))),
        None if undefined && left.is_number() && right.is_number() => Ok(Value::Bool(false)),
        _ => Err(no_overload()),
    }
}

/// The same for all types of whole numbers.
macro_rules! checked {
    ($operator:expr, $a:expr, $b:expr) => {
        match $operator {
            Operator::Add => $a.checked_add(*$b),
            Operator::Subtract => $a.checked_sub(*$b),
            Operator::Multiply => $a.checked_mul(*$b),
            Operator::Divide => $a.checked_div(*$b),
            _ => $a.checked_rem(*$b),
        }
    };
}

fn arithmetic<'d>(operator: Operator, left: &Value<'d>, right: &Value<'d>) -> Evaluated<'d> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            let result = checked!(operator, a, b);
            whole(operator, *b == 0, result, "integer overflow").map(Value::Int)
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let result = checked!(operator, a, b);
            whole(operator, *b == 0, result, "unsigned integer overflow").map(Value::Uint)
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            _ => return Err(no_overload()),
        })),
        _ => in_time(operator, left, right),
    }
}

fn in_time<'d>(operator: Operator, left: &Value<'d>, right: &Value<'d>) -> Evaluated<'d> {
    let span = |span: Option<i64>| {
        span.map(Value::Duration).ok_or_else(|| Failure::Error("duration overflow".to_owned()))
    };
    match (operator, left, right) {
        (Operator::Add, Value::Duration(a), Value::Duration(b)) => span(a.checked_add(*b)),
        (Operator::Subtract, Value::Duration(a), Value::Duration(b)) => span(a.checked_sub(*b)),
        (Operator::Subtract, Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Duration(a.since(*b)?)),
        (Operator::Subtract, Value::Timestamp(moment), Value::Duration(span)) => {
            Ok(Value::Timestamp(moment.plus(-i128::from(*span))?))
        }
        _ => Err(no_overload()),
    }
}

/// What became of two whole numbers: nothing if that is divided by zero, or too large.
fn whole<T>(operator: Operator, by_zero: bool, result: Option<T>, overflow: &str) -> Result<T, Failure> {
    let error = match operator {
        Operator::Divide if by_zero => "division by zero",
        Operator::Remainder if by_zero => "modulus by zero",
        _ => overflow,
    };
    result.ok_or_else(|| error.to_owned().into())
}
