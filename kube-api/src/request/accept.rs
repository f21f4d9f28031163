//! What the client accepts.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

use crate::error::{Error, Result};

/// In which shape objects are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// As they are.
    #[default]
    Object,
    /// As a `meta.k8s.io/v1` Table.
    Table,
    /// Only their metadata.
    Metadata,
}

/// How the answer has to look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Accept {
    pub(crate) form: Form,
    pub(crate) gzip: bool,
}

const SUPPORTED: &str = "application/json";

impl Accept {
    /// The first of the client's wishes, by weight, that can be fulfilled.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self> {
        let gzip = values(headers, ACCEPT_ENCODING).any(|e| e.trim().split(';').next() == Some("gzip"));
        let mut wishes: Vec<(f32, &str)> = values(headers, ACCEPT).map(|w| (weight(w), w)).collect();
        if wishes.is_empty() {
            return Ok(Self { form: Form::Object, gzip });
        }
        wishes.sort_by(|a, b| b.0.total_cmp(&a.0));
        let form = wishes.iter().find_map(|(_, wish)| form(wish));
        let form = form.ok_or_else(|| Error::NotAcceptable(SUPPORTED.to_owned()))?;
        Ok(Self { form, gzip })
    }
}

fn values(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|w| !w.is_empty())
}

fn parameters(wish: &str) -> impl Iterator<Item = (&str, &str)> {
    wish.split(';').skip(1).filter_map(|p| p.trim().split_once('='))
}

fn weight(wish: &str) -> f32 {
    parameters(wish).find(|(k, _)| *k == "q").and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0)
}

fn form(wish: &str) -> Option<Form> {
    let essence = wish.split(';').next().unwrap_or_default().trim();
    if !matches!(essence, "application/json" | "*/*" | "application/*") {
        return None;
    }
    let parameter = |name: &str| parameters(wish).find(|(k, _)| *k == name).map_or("", |(_, v)| v);
    match (parameter("as"), parameter("g"), parameter("v")) {
        ("", ..) => Some(Form::Object),
        ("Table", "meta.k8s.io", "v1") => Some(Form::Table),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => Some(Form::Metadata),
        _ => None,
    }
}
