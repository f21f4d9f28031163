//! How long a client waits for an answer.

use std::time::Duration;

use tonic::Status;
use tonic::codegen::http::HeaderMap;

/// Most digits of a time.
const DIGITS: usize = 8;

/// The time that a client allows, if it says one. One that makes no sense is no time, as for Go's servers it is no call.
pub(in super::super) fn limit(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (amount, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if amount.len() > DIGITS || !amount.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = amount.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Works for as long as the client waits.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match limit {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(exceeded())),
    }
}

/// Resolves when the client does not wait any more.
pub(in super::super) async fn passed(limit: Option<Duration>) {
    match limit {
        None => std::future::pending().await,
        Some(limit) => tokio::time::sleep(limit).await,
    }
}

/// What a client hears that has stopped waiting, in Go's words.
pub(in super::super) fn exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_grpc_writes_them() {
        for (text, wanted) in [
            ("1H", Some(3_600_000_000_000)),
            ("2M", Some(120_000_000_000)),
            ("3S", Some(3_000_000_000)),
            ("99999999m", Some(99_999_999_000_000)),
            ("5u", Some(5_000)),
            ("7n", Some(7)),
            ("S", None),
            ("", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("123456789S", None),
            ("1é", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(limit(&headers), wanted.map(Duration::from_nanos), "{text}");
        }
        assert_eq!(limit(&HeaderMap::new()), None);
    }
}
