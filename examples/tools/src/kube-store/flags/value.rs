//! Values as Go's flags have them, and in its words when they are wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What kind of value a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stands alone for `true`.
    Bool,
    /// A whole number.
    Number,
    /// A time as `1h30m`.
    Time,
    /// Anything.
    Text,
}

impl Kind {
    /// How the help shows it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bool => "[=BOOL]",
            Self::Number => " NUMBER",
            Self::Time => " DURATION",
            Self::Text => " VALUE",
        }
    }

    /// Refuses what is no value of this kind.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Bool => switch(text).map(drop),
            Self::Number => number::<i64>(text).map(drop),
            Self::Time => time(text).map(drop),
            Self::Text => Ok(()),
        }
    }
}

/// What Go says of most wrong values.
const PARSE_ERROR: &str = "parse error";

/// Reads a truth value in the spellings of Go.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(PARSE_ERROR.into()),
    }
}

/// Reads a whole number.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| PARSE_ERROR.into())
}

/// Reads one of a few words.
pub(super) fn word<W: Copy>(text: &str, words: &[(&str, W)]) -> Result<W, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| "invalid value".into())
}

/// Reads a time.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| PARSE_ERROR.into())
}

/// Reads a time as Go writes it: `1h30m`, `1.5s`, `0`; nothing negative.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, unit) = rest.split_at(end);
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        total = total.checked_add(part(amount, unit)?)?;
        rest = next;
    }
    Some(total)
}

/// So much of a unit; exact, since a fraction has at most the digits of a nanosecond.
fn part(amount: &str, unit: &str) -> Option<Duration> {
    let nanoseconds: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(nanoseconds)?;
    let mut place = nanoseconds;
    for digit in fraction.chars() {
        place /= 10;
        total = total.checked_add(u64::from(digit.to_digit(10)?).checked_mul(place)?)?;
    }
    Some(Duration::from_nanos(total))
}

/// Reads a list with commas; nothing is an empty list.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Reads a list of URLs without a path.
pub(super) fn urls(text: &str) -> Result<Vec<String>, String> {
    let urls = list(text);
    urls.iter().try_for_each(|url| check_url(url))?;
    Ok(urls)
}

fn check_url(url: &str) -> Result<(), String> {
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some(("unix" | "unixs", _)) => return Ok(()),
        _ => return Err(format!("URL scheme must be http, https, unix, or unixs: {url}")),
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains('/') {
        return Err(format!("URL must not contain a path: {url}"));
    }
    if has_port(host) {
        Ok(())
    } else {
        Err(format!("URL address does not have the form \"host:port\": {url}"))
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(host, port)| !host.contains('/') && port.parse::<u16>().is_ok())
}

/// The host of an address that has one.
pub(super) fn host(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (host, _) = rest.trim_end_matches('/').rsplit_once(':')?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned()).filter(|host| !host.is_empty())
}

/// Refuses an address that others could not be told of: etcd wants a port also where it is only a part of a file's name.
pub(super) fn check_advertised(flag: &str, url: &str) -> Result<(), String> {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest.trim_end_matches('/'));
    if has_port(host) {
        return Ok(());
    }
    Err(format!("--{flag} {url:?} must be \"host:port\" (missing port in address)"))
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Whether TLS is spoken there.
    pub(crate) is_secure: bool,
    pub(crate) place: Place,
}

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Socket(SocketAddr),
    File(PathBuf),
}

/// Takes an address to listen on apart.
pub(crate) fn address(url: &str) -> Result<Address, String> {
    check_url(url)?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let is_secure = matches!(scheme, "https" | "unixs");
    let place = match scheme {
        "unix" | "unixs" if rest.is_empty() => return Err(format!("a file is missing in {url}")),
        "unix" | "unixs" => Place::File(rest.into()),
        _ => {
            let address = rest.trim_end_matches('/').replace("localhost:", "127.0.0.1:");
            let address = address.parse().map_err(|_| format!("expected IP in URL for binding ({url})"))?;
            Place::Socket(address)
        }
    };
    Ok(Address { is_secure, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1h30m", Some(5_400_000_000_000)),
            ("90s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5ms", Some(500_000)),
            ("5000000000ns", Some(5_000_000_000)),
            ("2us3µs", Some(5_000)),
            ("5", None),
            ("5x", None),
            ("m", None),
            (".s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text), wanted.map(Duration::from_nanos), "{text}");
        }
    }

    #[test]
    fn addresses_have_a_scheme_and_a_port() {
        let socket = |text: &str| Place::Socket(text.parse().unwrap());
        for (url, is_secure, place) in [
            ("http://127.0.0.1:1", false, socket("127.0.0.1:1")),
            ("https://[::1]:2/", true, socket("[::1]:2")),
            ("http://localhost:3", false, socket("127.0.0.1:3")),
            ("unix:///run/a.sock", false, Place::File("/run/a.sock".into())),
            ("unixs://localhost:4", true, Place::File("localhost:4".into())),
        ] {
            assert_eq!(address(url).unwrap(), Address { is_secure, place }, "{url}");
        }
        for (url, wanted) in [
            ("127.0.0.1:1", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:1"),
            ("unix://", "a file is missing in unix://"),
            ("http://127.0.0.1", "URL address does not have the form \"host:port\": http://127.0.0.1"),
            ("http://127.0.0.1:1/a", "URL must not contain a path: http://127.0.0.1:1/a"),
            ("http://example.com:1", "expected IP in URL for binding (http://example.com:1)"),
        ] {
            assert_eq!(address(url).unwrap_err(), wanted);
        }
    }

    #[test]
    fn hosts_are_found_in_addresses() {
        for (url, wanted) in [
            ("https://127.0.0.1:1", Some("127.0.0.1")),
            ("https://[::1]:2/", Some("::1")),
            ("unixs://localhost:1", Some("localhost")),
            ("unixs:///run/a.sock", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn what_others_are_told_has_a_port() {
        for url in ["http://a:1", "unix://localhost:1", "unix://a:1/"] {
            assert_eq!(check_advertised("a", url), Ok(()), "{url}");
        }
        let wanted = "--a \"unix:///a:1\" must be \"host:port\" (missing port in address)";
        assert_eq!(check_advertised("a", "unix:///a:1").unwrap_err(), wanted);
        assert!(check_advertised("a", "unix://a").is_err());
    }
}
