//! From one type to another, and what can be done with a value of any type.

use std::sync::Arc;

use super::super::evaluate::{Failure, Run};
use super::super::moment::{Moment, parse_span, span_text};
use super::super::value::{DURATION, TIMESTAMP, Value};
use super::{Answer, Function};

/// Makes something else of a value.
pub(super) fn call<'d>(function: Function, run: &mut Run<'d, '_>, value: &Value<'d>) -> Answer<'d> {
    Ok(match function {
        Function::Dyn => Some(value.clone()),
        Function::TypeOf => Some(Value::Type(value.type_name())),
        Function::OptionalOfNonZero if value.is_zero() => Some(Value::Optional(None)),
        Function::OptionalOf | Function::OptionalOfNonZero => {
            Some(Value::Optional(Some(Arc::new(value.clone()))))
        }
        Function::ToText => text(value)?.map(Value::text),
        Function::ToBytes => bytes(run, value)?,
        Function::ToInt => int(value)?.map(Value::Int),
        Function::ToUint => uint(value)?.map(Value::Uint),
        Function::ToDouble => double(value)?.map(Value::Double),
        Function::ToBool => truth(value)?,
        Function::ToDuration => duration(value)?,
        Function::ToTimestamp => timestamp(value)?.map(Value::Timestamp),
        _ => None,
    })
}

/// The text that `string()` makes of a value, if it makes one.
pub(in super::super) fn text(value: &Value<'_>) -> Result<Option<Arc<str>>, Failure> {
    Ok(Some(match value {
        Value::Text(text) => Arc::clone(text),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => return Err("invalid UTF-8 in bytes, cannot convert to string".to_owned().into()),
        },
        Value::Bool(value) => value.to_string().into(),
        Value::Int(value) => value.to_string().into(),
        Value::Uint(value) => value.to_string().into(),
        Value::Double(value) => double_text(*value).into(),
        Value::Duration(span) => span_text(*span).into(),
        Value::Timestamp(moment) => moment.to_string().into(),
        Value::Ip(address) => address.to_string().into(),
        Value::Cidr(range) => range.to_string().into(),
        _ => return Ok(None),
    }))
}

/// A number with the fewest digits that tell it from others, as Go's `%g` writes it.
fn double_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(-4..6) | Err(_) => value.to_string(),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

fn failed(from: &str, to: &str) -> Failure {
    Failure::Error(format!("type conversion error from '{from}' to '{to}'"))
}

fn overflow() -> Failure {
    Failure::Error("integer overflow".to_owned())
}

fn unsigned_overflow() -> Failure {
    Failure::Error("unsigned integer overflow".to_owned())
}

fn bytes<'d>(run: &mut Run<'d, '_>, value: &Value<'d>) -> Answer<'d> {
    Ok(match value {
        Value::Bytes(_) => Some(value.clone()),
        Value::Text(text) => {
            run.pay(text.len())?;
            Some(Value::Bytes(text.as_bytes().into()))
        }
        _ => None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and the fraction is to go")]
fn int(value: &Value<'_>) -> Result<Option<i64>, Failure> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    Ok(Some(match value {
        Value::Int(value) => *value,
        Value::Uint(value) => i64::try_from(*value).map_err(|_| overflow())?,
        Value::Double(value) if *value > -BOUND && *value < BOUND => *value as i64,
        Value::Double(_) => return Err(overflow()),
        Value::Text(text) => text.parse().map_err(|_| failed("string", "int"))?,
        Value::Duration(span) => *span,
        Value::Timestamp(moment) => moment.seconds(),
        _ => return Ok(None),
    }))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and the fraction is to go"
)]
fn uint(value: &Value<'_>) -> Result<Option<u64>, Failure> {
    const BOUND: f64 = 18_446_744_073_709_551_616.0;
    Ok(Some(match value {
        Value::Uint(value) => *value,
        Value::Int(value) => u64::try_from(*value).map_err(|_| unsigned_overflow())?,
        Value::Double(value) if *value >= 0.0 && *value < BOUND => *value as u64,
        Value::Double(_) => return Err(unsigned_overflow()),
        // Go reads no sign here.
        Value::Text(text) if text.starts_with('+') => return Err(failed("string", "uint")),
        Value::Text(text) => text.parse().map_err(|_| failed("string", "uint"))?,
        _ => return Ok(None),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "the nearest number is what is asked for")]
fn double(value: &Value<'_>) -> Result<Option<f64>, Failure> {
    Ok(Some(match value {
        Value::Double(value) => *value,
        Value::Int(value) => *value as f64,
        Value::Uint(value) => *value as f64,
        Value::Text(text) => text.parse().map_err(|_| failed("string", "double"))?,
        _ => return Ok(None),
    }))
}

fn truth<'d>(value: &Value<'d>) -> Answer<'d> {
    Ok(match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Text(text) => match &**text {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            _ => return Err(failed("string", "bool")),
        },
        _ => None,
    })
}

fn duration<'d>(value: &Value<'d>) -> Answer<'d> {
    Ok(match value {
        Value::Duration(_) => Some(value.clone()),
        Value::Text(text) => {
            Some(Value::Duration(parse_span(text).ok_or_else(|| failed("string", DURATION))?))
        }
        Value::Int(_) => return Err(failed("int", DURATION)),
        _ => None,
    })
}

fn timestamp(value: &Value<'_>) -> Result<Option<Moment>, Failure> {
    Ok(Some(match value {
        Value::Timestamp(moment) => *moment,
        Value::Text(text) => Moment::parse(text).ok_or_else(|| failed("string", TIMESTAMP))??,
        Value::Int(seconds) => Moment::at(*seconds)?,
        _ => return Ok(None),
    }))
}
