use jiff::{SignedDuration, Timestamp};

use crate::{Error, Result};

/// Which lines of a log are wanted: `PodLogOptions` of the Kubernetes API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Go on as lines are written.
    pub follow: bool,
    /// The log of the container's previous instance.
    pub previous: bool,
    /// Only lines written at or after this time.
    pub since: Option<Timestamp>,
    /// Only so many lines from the end, before `since` is looked at.
    pub tail_lines: Option<u64>,
    /// At most so many bytes; at least 1.
    pub limit_bytes: Option<u64>,
    /// Begin each line with the time it was written.
    pub timestamps: bool,
}

impl Query {
    /// Reads the parameters of a URL; `now` is what `sinceSeconds` counts back from.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub fn from_parameters(parameters: &[(String, String)], now: Timestamp) -> Result<Self> {
        let mut query = Self::default();
        for (name, value) in parameters {
            let invalid = || Error::Invalid(format!("invalid value {value:?} for parameter {name}"));
            match name.as_str() {
                "follow" => query.follow = flag(value).ok_or_else(invalid)?,
                "previous" => query.previous = flag(value).ok_or_else(invalid)?,
                "timestamps" => query.timestamps = flag(value).ok_or_else(invalid)?,
                "tailLines" => query.tail_lines = Some(value.parse().map_err(|_| invalid())?),
                "limitBytes" => {
                    query.limit_bytes = Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?)
                }
                "sinceTime" => query.since = Some(value.parse().map_err(|_| invalid())?),
                "sinceSeconds" => {
                    let seconds = value.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(invalid)?;
                    query.since = now.checked_sub(SignedDuration::from_secs(seconds)).ok();
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "" | "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Query> {
        let owned: Vec<_> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Query::from_parameters(&owned, "2026-01-01T00:01:00Z".parse().unwrap())
    }

    #[test]
    fn parameters_are_read() {
        let query =
            parse(&[("follow", "true"), ("sinceSeconds", "60"), ("tailLines", "0"), ("other", "x")]).unwrap();
        let since = "2026-01-01T00:00:00Z".parse().ok();
        assert_eq!(query, Query { follow: true, since, tail_lines: Some(0), ..Query::default() });
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (name, value) in [
            ("follow", "maybe"),
            ("tailLines", "-1"),
            ("limitBytes", "0"),
            ("sinceTime", "now"),
            ("sinceSeconds", "-5"),
        ] {
            let error = parse(&[(name, value)]).unwrap_err().to_string();
            assert_eq!(error, format!("invalid value {value:?} for parameter {name}"));
        }
    }
}
