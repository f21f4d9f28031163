//! Ages as kubectl prints them.

use jiff::Timestamp;
use serde_json::Value;

/// A duration in at most two units, as upstream's `HumanDuration` shortens it: `5s`, `3m20s`, `4h5m`, `2d3h`, `400d`, `3y`.
/// Negative durations up to two seconds are `0s`, longer ones `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    match seconds {
        ..=-2 => return "<invalid>".to_owned(),
        -1 => return "0s".to_owned(),
        0..120 => return format!("{seconds}s"),
        _ => {}
    }
    let (minutes, hours, days, years) =
        (seconds / 60, seconds / 3600, seconds / 86_400, seconds / (86_400 * 365));
    let two = |first: i64, a: &str, second: i64, b: &str| {
        if second == 0 { format!("{first}{a}") } else { format!("{first}{a}{second}{b}") }
    };
    match () {
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{days}d"),
        () if hours < 24 * 365 * 8 => two(years, "y", days % 365, "d"),
        () => format!("{years}y"),
    }
}

/// The age of an RFC 3339 timestamp; `<unknown>` when there is none.
pub fn since(time: Option<&Value>, now: Timestamp) -> String {
    let time = time.and_then(Value::as_str).and_then(|t| t.parse::<Timestamp>().ok());
    time.map_or_else(|| "<unknown>".to_owned(), |t| human_duration(now.as_second() - t.as_second()))
}
