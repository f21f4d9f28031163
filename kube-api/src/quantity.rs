//! Resource quantities: parsing, comparison and the canonical form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// The largest magnitude a quantity may have; larger ones are capped.
const MAX_NANOS: i128 = i64::MAX as i128 * NANO;

/// The suffix family a quantity was written with and is written back in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
    Exponent,
}

/// A fixed-point number with a suffix (`500m`, `1Gi`, `1e3`), exact to 10⁻⁹ and rounded up beyond.
///
/// ```
/// use kube_api::quantity::Quantity;
/// let memory: Quantity = "1024Mi".parse()?;
/// assert_eq!(memory.to_string(), "1Gi");
/// assert!(memory > "1G".parse()?);
/// # Ok::<(), kube_api::quantity::QuantityError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Text that is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// Not a number followed by a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The suffix is not one of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// The value in units of 10⁻⁹.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// The value in thousandths, rounded up: what CPU is counted in.
    pub fn millis(self) -> i64 {
        saturate(div_up(self.nanos, NANO / 1000))
    }

    /// The value as a whole number, rounded up.
    pub fn value(self) -> i64 {
        saturate(div_up(self.nanos, NANO))
    }

    /// Whether the value has a fractional part.
    pub fn is_fractional(self) -> bool {
        self.nanos % NANO != 0
    }
}

fn saturate(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

/// Division that rounds away from zero.
fn div_up(n: i128, by: i128) -> i128 {
    let (quotient, rest) = (n / by, n % by);
    if rest == 0 { quotient } else { quotient + n.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;

    /// The sum, capped as every quantity is, and written as the first one is.
    fn add(self, other: Self) -> Self {
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX_NANOS, MAX_NANOS), format: self.format }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let split = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || !suffix_shape(suffix) {
            return Err(QuantityError::Format);
        }
        let (base, exponent, format) = scale(suffix).ok_or(QuantityError::Suffix)?;
        let magnitude = nanos(whole, fraction, base, exponent);
        Ok(Self { nanos: if text.starts_with('-') { -magnitude } else { magnitude }, format })
    }
}

fn suffix_shape(suffix: &str) -> bool {
    let digits = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    digits.bytes().all(|b| b.is_ascii_digit())
}

/// Base, exponent and family of a suffix.
fn scale(suffix: &str) -> Option<(i128, i32, Format)> {
    const DECIMAL: [(&str, i32); 10] = [
        ("n", -9),
        ("u", -6),
        ("m", -3),
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((10, *exponent, Format::Decimal));
    }
    if let Some(at) = BINARY.iter().position(|s| *s == suffix) {
        return Some((2, 10 * (i32::try_from(at).ok()? + 1), Format::Binary));
    }
    let digits = suffix.strip_prefix(['e', 'E'])?;
    digits.parse().ok().map(|exponent| (10, exponent, Format::Exponent))
}

/// The magnitude in nanos: rounded up below one nano, capped above.
fn nanos(whole: &str, fraction: &str, base: i128, exponent: i32) -> i128 {
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{}{fraction}", whole.trim_start_matches('0'));
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    // 38 digits fit an i128; no more than the first 30 can matter below the cap.
    let kept = digits.get(..30.min(digits.len())).unwrap_or(digits);
    let dropped = i32::try_from(digits.len() - kept.len()).unwrap_or(i32::MAX);
    let inexact = digits.len() > kept.len();
    let mantissa: i128 = kept.parse().unwrap_or(i128::MAX);
    let fraction_digits = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let mut ten = 9_i32.saturating_add(dropped).saturating_sub(fraction_digits);
    let mut value = mantissa;
    if base == 2 {
        match 2_i128.checked_pow(exponent.unsigned_abs()).and_then(|f| value.checked_mul(f)) {
            Some(scaled) => value = scaled,
            None => return MAX_NANOS,
        }
    } else {
        ten = ten.saturating_add(exponent);
    }
    shift_ten(value, ten, inexact).min(MAX_NANOS)
}

fn shift_ten(value: i128, ten: i32, inexact: bool) -> i128 {
    if ten >= 0 {
        let factor = 10_i128.checked_pow(ten.unsigned_abs());
        return factor.and_then(|f| value.checked_mul(f)).unwrap_or(MAX_NANOS);
    }
    match 10_i128.checked_pow(ten.unsigned_abs()) {
        Some(divisor) => div_up(value, divisor) + i128::from(inexact && value % divisor == 0),
        None => 1,
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANO || self.is_fractional();
        match self.format {
            Format::Binary if !small => binary(self.nanos / NANO, f),
            Format::Exponent => decimal(self.nanos, f, |f, exponent| write!(f, "e{exponent}")),
            _ => decimal(self.nanos, f, |f, exponent| {
                let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
                let at = usize::try_from(exponent / 3 + 3).unwrap_or_default();
                f.write_str(suffixes.get(at).unwrap_or(&""))
            }),
        }
    }
}

fn binary(mut value: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().peekable();
    let mut suffix = suffixes.next().unwrap_or(&"");
    while value % 1024 == 0 {
        let Some(next) = suffixes.next() else { break };
        value /= 1024;
        suffix = next;
    }
    write!(f, "{value}{suffix}")
}

fn decimal(
    mut value: i128,
    f: &mut fmt::Formatter<'_>,
    suffix: impl Fn(&mut fmt::Formatter<'_>, i32) -> fmt::Result,
) -> fmt::Result {
    let mut exponent = -9;
    while value % 1000 == 0 && exponent < 18 {
        value /= 1000;
        exponent += 3;
    }
    write!(f, "{value}")?;
    if exponent == 0 { Ok(()) } else { suffix(f, exponent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_canonically() {
        let cases = [
            ("0", "0"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Ki", "1Mi"),
            ("100Ki", "100Ki"),
            ("1000m", "1"),
            ("1000k", "1M"),
            ("12e6", "12e6"),
            ("1000e3", "1e6"),
            ("-1.0m", "-1m"),
            ("0.1n", "1n"),
            ("512", "512"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            (".5", "500m"),
            ("99999999999999999999", "9223372036854775807"),
        ];
        for (text, canonical) in cases {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn malformed_quantities_are_refused() {
        for text in ["", "a", "1.2.3", "1 Gi", "--1", "+", "1Gi5x"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Format), "{text}");
        }
        for text in ["1ki", "1Ke", "1mm", "1Gi5"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Suffix), "{text}");
        }
    }

    #[test]
    fn quantities_compare_by_value_and_round_up() {
        let q = |t: &str| t.parse::<Quantity>().unwrap();
        assert!(q("1Gi") > q("1G"));
        assert_eq!(q("1000m"), q("1"));
        assert_eq!(q("1500u").millis(), 2);
        assert_eq!(q("100m").value(), 1);
    }
}
