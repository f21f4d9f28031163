//! Kubernetes quantities (`100m`, `1Gi`, `1.5e3`) as integers, rounded up as upstream does.

use crate::Error;

/// The quantity in whole units, rounded away from zero (`100m` is 1, `1Ki` is 1024).
///
/// # Errors
/// [`Error::Quantity`] when the text is not a quantity.
pub fn value(text: &str) -> Result<i64, Error> {
    scaled(text, 0)
}

/// The quantity in thousandths of a unit, rounded away from zero (`0.1` is 100).
///
/// # Errors
/// [`Error::Quantity`] when the text is not a quantity.
pub fn milli_value(text: &str) -> Result<i64, Error> {
    scaled(text, 3)
}

/// The unit a suffix stands for: a power of 1024 times a power of ten.
fn unit(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (1, 0),
        "Mi" => (2, 0),
        "Gi" => (3, 0),
        "Ti" => (4, 0),
        "Pi" => (5, 0),
        "Ei" => (6, 0),
        exponent => (0, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

fn scaled(text: &str, decimals: i32) -> Result<i64, Error> {
    parse(text, decimals).ok_or_else(|| Error::Quantity(text.to_owned()))
}

/// The quantity in thousand-millionths of a unit, which is as fine as quantities are; `None` when the text is none.
pub(crate) fn nano_value(text: &str) -> Option<i128> {
    magnitude(text, 9)
}

fn parse(text: &str, decimals: i32) -> Option<i64> {
    let value = magnitude(text, decimals)?;
    Some(i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX }))
}

fn magnitude(text: &str, decimals: i32) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut mantissa: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let (binary, decimal) = unit(suffix)?;
    let mantissa = mantissa.checked_mul(1024_i128.checked_pow(binary)?)?;
    let power = decimal.checked_add(decimals)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let magnitude = shift(mantissa, power);
    Some(if negative { -magnitude } else { magnitude })
}

/// `mantissa × 10^power`, rounded up and saturating.
fn shift(mantissa: i128, power: i32) -> i128 {
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match (factor, power >= 0) {
        (Some(factor), true) => mantissa.saturating_mul(factor),
        (Some(factor), false) => mantissa / factor + i128::from(mantissa % factor != 0),
        (None, true) => {
            if mantissa == 0 {
                0
            } else {
                i128::MAX
            }
        }
        (None, false) => i128::from(mantissa != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_become_integers() {
        let table = [
            ("0", 0, 0),
            ("1", 1, 1000),
            ("100m", 1, 100),
            ("1.5", 2, 1500),
            ("0.1", 1, 100),
            (".5", 1, 500),
            ("1Ki", 1024, 1_024_000),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("2k", 2000, 2_000_000),
            ("1e3", 1000, 1_000_000),
            ("1E2", 100, 100_000),
            ("5E", 5_000_000_000_000_000_000, i64::MAX),
            ("-1", -1, -1000),
            ("+2", 2, 2000),
            ("1n", 1, 1),
            ("100Ei", i64::MAX, i64::MAX),
        ];
        for (text, units, milli) in table {
            assert_eq!(value(text).unwrap(), units, "{text}");
            assert_eq!(milli_value(text).unwrap(), milli, "{text} in thousandths");
        }
    }

    #[test]
    fn nothing_is_too_fine_or_too_large_to_be_compared() {
        for (text, nano) in [
            ("40Gi", 42_949_672_960_000_000_000),
            ("2.5", 2_500_000_000),
            ("-1n", -1),
            ("0.1n", 1),
            ("16Ei", 18_446_744_073_709_551_616_000_000_000),
            ("1e99", i128::MAX),
        ] {
            assert_eq!(nano_value(text), Some(nano), "{text}");
        }
        assert_eq!(nano_value("1e2147483647"), None, "so large that its exponent is no number here");
    }

    #[test]
    fn malformed_quantities_are_refused() {
        for text in ["", "m", "1.2.3", "1Xi", "abc", "1 Gi", "--1", "1e", "."] {
            assert!(value(text).is_err(), "{text}");
        }
    }
}
