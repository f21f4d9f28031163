//! Resource quantities as numbers.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const NANO: i128 = 1_000_000_000;

/// The value times 10⁹, or `None` when it is not a quantity. Digits below a nano are cut off.
fn nanos(text: &str) -> Option<i128> {
    let text = text.trim();
    let split =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: String = format!("{fraction:0<9}").chars().take(9).collect();
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let value = whole.checked_mul(NANO)?.checked_add(digits.parse().ok()?)?;
    scale(value, suffix).map(|v| v * sign)
}

fn scale(value: i128, suffix: &str) -> Option<i128> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix);
    if let Some(power) = binary {
        return value.checked_mul(1 << (10 * (power + 1)));
    }
    let exponent = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        other => other.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?,
    };
    let factor = 10i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 { Some(value / factor) } else { value.checked_mul(factor) }
}

fn rounded_up(value: i128, unit: i128) -> i64 {
    let up = value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0);
    i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX })
}

/// Whole units, rounded up, or `None` when it is not a quantity.
pub(crate) fn parse(quantity: &Quantity) -> Option<i64> {
    nanos(&quantity.0).map(|v| rounded_up(v, NANO))
}

/// Whole units, rounded up; 0 for what is not a quantity.
pub(crate) fn value(quantity: &Quantity) -> i64 {
    parse(quantity).unwrap_or(0)
}

/// Thousandths, rounded up; 0 for what is not a quantity.
pub(crate) fn millis(quantity: &Quantity) -> i64 {
    nanos(&quantity.0).map_or(0, |v| rounded_up(v, NANO / 1000))
}

/// The value in units of `divisor`, rounded up, as downward API fields have it.
pub(crate) fn divided(quantity: &Quantity, divisor: &Quantity) -> String {
    let unit = nanos(&divisor.0).filter(|d| *d > 0).unwrap_or(NANO);
    rounded_up(nanos(&quantity.0).unwrap_or(0), unit).to_string()
}
