//! Points in time and spans of time.

use super::super::moment::Moment;
use super::super::value::Value;
use super::{Answer, Function};

pub(super) fn of_span<'d>(function: Function, span: i64) -> Option<Value<'d>> {
    let unit = match function {
        Function::GetMilliseconds => 1_000_000,
        Function::GetSeconds => 1_000_000_000,
        Function::GetMinutes => 60_000_000_000,
        Function::GetHours => 3_600_000_000_000,
        _ => return None,
    };
    Some(Value::Int(span / unit))
}

/// What clocks and calendars show then. Days and months are counted from zero, but for `getDate`.
pub(super) fn of_moment<'d>(function: Function, moment: Moment, rest: &[Value<'d>]) -> Answer<'d> {
    let zone = match rest {
        [] => None,
        [Value::Text(zone)] => Some(&**zone),
        _ => return Ok(None),
    };
    let local = moment.local(zone)?;
    Ok(Some(Value::Int(match function {
        Function::GetFullYear => i64::from(local.year()),
        Function::GetMonth => i64::from(local.month()) - 1,
        Function::GetDayOfYear => i64::from(local.day_of_year()) - 1,
        Function::GetDayOfMonth => i64::from(local.day()) - 1,
        Function::GetDate => i64::from(local.day()),
        Function::GetDayOfWeek => i64::from(local.weekday().to_sunday_zero_offset()),
        Function::GetHours => i64::from(local.hour()),
        Function::GetMinutes => i64::from(local.minute()),
        Function::GetSeconds => i64::from(local.second()),
        Function::GetMilliseconds => i64::from(local.millisecond()),
        _ => return Ok(None),
    })))
}
