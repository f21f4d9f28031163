//! Points in time and spans of time.

use std::cmp::Ordering;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};

const SECOND: i128 = 1_000_000_000;
/// The seconds since 1970 that are in the years from 1 to 9999.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// The time zones come with the program, so that what an expression says depends on nothing but the device.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A point in time, and how far from UTC, in seconds, the place is where it was written down.
///
/// It is not a [`Timestamp`], because that ends some hours before the year 9999 does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    seconds: i64,
    nanos: i32,
    offset: i32,
}

impl Moment {
    /// So many seconds after the beginning of 1970.
    pub(super) fn at(seconds: i64) -> Result<Self, String> {
        Self { seconds, nanos: 0, offset: 0 }.in_range()
    }

    /// Reads a time in RFC 3339's notation; `None` if it is not in that.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (whole, rest) = text.split_at_checked(19)?;
        let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
            Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
            None => ("000", rest),
        };
        let bytes = whole.as_bytes();
        let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if fraction.is_empty() || signs.into_iter().any(|(at, sign)| bytes.get(at) != Some(&sign)) {
            return None;
        }
        let part = |from: usize| digits(whole.get(from..from + 2)?);
        let year = i16::from(digits(whole.get(..2)?)?) * 100 + i16::from(part(2)?);
        let nanos = format!("{:0<9}", fraction).get(..9)?.parse().ok()?;
        let day = Date::new(year, part(5)?, part(8)?).ok()?;
        let local = day.to_datetime(Time::new(part(11)?, part(14)?, part(17)?, nanos).ok()?);
        let offset = offset(zone)?;
        let total = local.duration_since(epoch()).as_nanos() - i128::from(offset) * SECOND;
        Some(Self::from_total(total, offset))
    }

    fn from_total(total: i128, offset: i32) -> Result<Self, String> {
        let seconds = i64::try_from(total.div_euclid(SECOND)).ok();
        let parts = seconds.zip(i32::try_from(total.rem_euclid(SECOND)).ok());
        let (seconds, nanos) = parts.ok_or("timestamp overflow")?;
        Self { seconds, nanos, offset }.in_range()
    }

    fn in_range(self) -> Result<Self, String> {
        if RANGE.contains(&self.seconds) { Ok(self) } else { Err("timestamp overflow".to_owned()) }
    }

    /// Whether it is the first of all, which is the one that a variable has before it gets another.
    pub(super) fn is_first(self) -> bool {
        (self.seconds, self.nanos) == (*RANGE.start(), 0)
    }

    pub(super) fn seconds(self) -> i64 {
        self.seconds
    }

    fn total(self) -> i128 {
        i128::from(self.seconds) * SECOND + i128::from(self.nanos)
    }

    /// The moment after a span.
    pub(super) fn plus(self, span: i128) -> Result<Self, String> {
        Self::from_total(self.total() + span, self.offset)
    }

    /// The span since another moment.
    pub(super) fn since(self, other: Self) -> Result<i64, String> {
        i64::try_from(self.total() - other.total()).map_err(|_| "duration overflow".to_owned())
    }

    /// What clocks and calendars show in a time zone: that of UTC, or one with a name or of the form `+01:00`.
    pub(super) fn local(self, zone: Option<&str>) -> Result<DateTime, String> {
        let offset = match zone {
            None | Some("" | "UTC") => 0,
            Some(zone) => match zone.split_once(':') {
                Some((hours, minutes)) => shift(zone, hours, minutes)?,
                None => self.named(zone)?,
            },
        };
        self.shifted(offset).ok_or_else(|| "timestamp overflow".to_owned())
    }

    /// How far from UTC a zone is at that moment, in seconds.
    fn named(self, zone: &str) -> Result<i64, String> {
        let known = ZONES.get(zone).ok().filter(|known| known.iana_name() == Some(zone));
        let known = known.ok_or_else(|| format!("unknown time zone {zone}"))?;
        let last = Timestamp::MAX.as_second();
        let at = Timestamp::from_second(self.seconds.min(last)).map_err(|error| error.to_string())?;
        Ok(i64::from(known.to_offset(at).seconds()))
    }

    fn shifted(self, offset: i64) -> Option<DateTime> {
        let span = SignedDuration::new(self.seconds.checked_add(offset)?, self.nanos);
        epoch().checked_add(span).ok()
    }
}

fn epoch() -> DateTime {
    date(1970, 1, 1).at(0, 0, 0, 0)
}

fn digits(text: &str) -> Option<i8> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `Z` or an offset such as `+01:00`, in seconds.
fn offset(zone: &str) -> Option<i32> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (hours, minutes) = (i32::from(digits(hours)?), i32::from(digits(minutes)?));
    let seconds = (hours * 60 + minutes) * 60;
    match sign {
        _ if hours > 24 || minutes > 59 => None,
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// The offset that is written as hours and minutes, in seconds. The sign belongs to both.
fn shift(zone: &str, hours: &str, minutes: &str) -> Result<i64, String> {
    let number = |text: &str| {
        let read = text.parse::<i32>().map(i64::from);
        read.map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minutes = if zone.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes };
    Ok(minutes * 60)
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.total().cmp(&other.total())
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Moment {}

impl std::fmt::Display for Moment {
    /// In RFC 3339's notation, in the zone in which it was written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let local = self.shifted(i64::from(self.offset)).ok_or(std::fmt::Error)?;
        let (day, time) = (local.date(), local.time());
        write!(f, "{:04}-{:02}-{:02}T", day.year(), day.month(), day.day())?;
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        if self.nanos > 0 {
            write!(f, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        let minutes = self.offset.abs() / 60;
        match self.offset {
            0 => write!(f, "Z"),
            east => write!(f, "{}{:02}:{:02}", if east < 0 { '-' } else { '+' }, minutes / 60, minutes % 60),
        }
    }
}

/// Reads a span such as `1h30m` or `-1.5s`.
pub(super) fn parse_span(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit_and_more) = rest.split_at(end);
        let end = unit_and_more.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_and_more.len());
        let (unit, more) = unit_and_more.split_at(end);
        total = total.checked_add(amount(number, unit_nanos(unit)?)?)?;
        rest = more;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        _ => return None,
    })
}

/// So many units; what is finer than a nanosecond does not count.
fn amount(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let read = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let parts = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    read(whole)?.checked_mul(unit)?.checked_add(read(fraction)? * unit / parts)
}

/// A span in seconds, as text.
#[expect(clippy::cast_precision_loss, reason = "upstream writes the seconds as a floating-point number, too")]
pub(super) fn span_text(span: i64) -> String {
    let second = 1_000_000_000;
    format!("{}s", (span / second) as f64 + (span % second) as f64 / 1e9)
}
