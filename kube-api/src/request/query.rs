//! Parameters.

use std::borrow::Cow;
use std::time::Duration;

use kube_store::Revision;
use serde_json::Value;

use super::info::unescape;
use crate::error::{Error, Result};
use crate::schema::FieldValidation;
use crate::selector::{FieldSelector, LabelSelector};

/// The parameters of a URL, unescaped.
#[derive(Debug, Default)]
pub(crate) struct Query<'q>(Vec<(Cow<'q, str>, String)>);

impl<'q> Query<'q> {
    pub(crate) fn parse(query: &'q str) -> Self {
        let pair = |part: &'q str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Some((Cow::Owned(unescape(key, true)?), unescape(value, true)?))
        };
        Self(query.split('&').filter(|p| !p.is_empty()).filter_map(pair).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A switch, on unless it says `false` or `0`, as upstream reads them.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.get(name).filter(|t| !t.is_empty()) else { return Ok(None) };
        let wrong = |_| Error::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(wrong)
    }
}

/// Which revision a list has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// The newest there is.
    Latest,
    /// Whatever is at hand.
    Any,
    /// This one or a newer one.
    NotOlderThan(Revision),
    /// This one.
    Exact(Revision),
}

/// Parameters of list, watch and deletecollection.
#[derive(Debug, Clone)]
pub(crate) struct ListOptions {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    pub(crate) version: VersionMatch,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial: Option<bool>,
}

impl ListOptions {
    pub(crate) fn parse(query: &Query<'_>, watch: bool) -> Result<Self> {
        let unable = |what: &str, e: &dyn std::fmt::Display| {
            Error::bad_request(format!("unable to parse {what}: {e}"))
        };
        let labels = LabelSelector::parse(query.text("labelSelector")).map_err(|e| unable("requirement", &e));
        let labels = labels.map_err(|e| match e {
            Error::BadRequest(text) => {
                Error::BadRequest(text.replacen("requirement: unable to parse requirement", "requirement", 1))
            }
            other => other,
        })?;
        let fields = FieldSelector::parse(query.text("fieldSelector")).map_err(Error::bad_request)?;
        let limit = query.number("limit")?.unwrap_or(0);
        let limit = usize::try_from(limit).map_err(|_| Error::bad_request("limit must not be negative"))?;
        let seconds = query.number("timeoutSeconds")?.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0);
        let send_initial = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
        let options = Self {
            labels,
            fields,
            version: version(query, watch)?,
            limit,
            continue_token: query.text("continue").to_owned(),
            timeout: seconds.map(|s| Duration::from_secs(s.min(86_400))),
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial,
        };
        options.validate(query, watch)?;
        Ok(options)
    }

    fn validate(&self, query: &Query<'_>, watch: bool) -> Result<()> {
        let forbidden =
            |field: &str, detail: &str| Err(Error::bad_request(format!("{field}: Forbidden: {detail}")));
        match (watch, self.send_initial) {
            (false, Some(_)) => {
                return forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
            }
            (true, Some(_)) if query.text("resourceVersionMatch") != "NotOlderThan" => {
                let detail = "resourceVersionMatch must be set to NotOlderThan when sendInitialEvents is set";
                return forbidden("resourceVersionMatch", detail);
            }
            (true, None) if !query.text("resourceVersionMatch").is_empty() => {
                let detail =
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                return forbidden("resourceVersionMatch", detail);
            }
            _ => {}
        }
        if !self.continue_token.is_empty() && !matches!(query.text("resourceVersion"), "" | "0") {
            return Err(Error::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(())
    }
}

fn version(query: &Query<'_>, watch: bool) -> Result<VersionMatch> {
    let (text, rule) = (query.text("resourceVersion"), query.text("resourceVersionMatch"));
    let wrong = |_| {
        Error::bad_request(format!(
            "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    };
    let number: u64 = if text.is_empty() { 0 } else { text.parse().map_err(wrong)? };
    let revision = Revision::try_from(number).map_err(|_| Error::too_large_version(Revision::MAX, 0))?;
    let forbidden =
        |detail: &str| Err(Error::bad_request(format!("resourceVersionMatch: Forbidden: {detail}")));
    match (rule, text, revision) {
        ("", "", _) => Ok(VersionMatch::Latest),
        ("NotOlderThan", "", _) if watch => Ok(VersionMatch::Latest),
        ("", _, 0) | ("NotOlderThan", "0", _) => Ok(VersionMatch::Any),
        ("", _, r) if !watch && query.number("limit")?.is_some_and(|l| l > 0) => Ok(VersionMatch::Exact(r)),
        ("" | "NotOlderThan", t, r) if !t.is_empty() => Ok(VersionMatch::NotOlderThan(r)),
        ("Exact", _, 0) => forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""),
        ("Exact", _, r) => Ok(VersionMatch::Exact(r)),
        ("NotOlderThan", ..) => {
            forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        (other, ..) => Err(Error::bad_request(format!(
            "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
        ))),
    }
}

/// Parameters of every write.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
}

impl WriteOptions {
    pub(crate) fn parse(query: &Query<'_>) -> Result<Self> {
        let text = query.text("fieldValidation");
        let validation = FieldValidation::from_parameter(text).ok_or_else(|| {
            Error::bad_request(format!(
                "fieldValidation: Unsupported value: {text:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))
        })?;
        let dry_run = dry_run(query.all("dryRun"))?;
        Ok(Self { dry_run, validation })
    }
}

fn dry_run<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<bool> {
    values.try_fold(false, |_, value| match value {
        "All" => Ok(true),
        other => Err(Error::bad_request(format!(
            "dryRun: Unsupported value: {other:?}: supported values: \"All\""
        ))),
    })
}

/// What a delete asks for, from the body or the parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) orphan: Option<bool>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    pub(crate) fn parse(query: &Query<'_>, body: Option<&Value>) -> Result<Self> {
        let text =
            |pointer: &str| body.and_then(|b| b.pointer(pointer)).and_then(Value::as_str).map(str::to_owned);
        let in_query = |name: &str| query.get(name).filter(|t| !t.is_empty());
        let grace = body.and_then(|b| b.get("gracePeriodSeconds")).and_then(Value::as_i64);
        let named = body.and_then(|b| b.get("dryRun")).and_then(Value::as_array);
        let named = named.into_iter().flatten().filter_map(Value::as_str);
        let options = Self {
            grace: grace.or(query.number("gracePeriodSeconds")?),
            propagation: text("/propagationPolicy").or(in_query("propagationPolicy").map(str::to_owned)),
            orphan: body
                .and_then(|b| b.get("orphanDependents"))
                .and_then(Value::as_bool)
                .or(in_query("orphanDependents").map(|v| v == "true")),
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            dry_run: dry_run(query.all("dryRun").chain(named))?,
        };
        options.validate()?;
        Ok(options)
    }

    fn validate(&self) -> Result<()> {
        let bad = |message: String| Err(Error::BadRequest(message));
        match (&self.propagation, self.orphan) {
            (Some(_), Some(_)) => bad(
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: orphanDependents and deletionPropagation cannot be both set".to_owned(),
            ),
            (Some(policy), None) if !matches!(policy.as_str(), "Orphan" | "Background" | "Foreground") => bad(format!(
                "propagationPolicy: Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            )),
            _ => Ok(()),
        }
    }
}
