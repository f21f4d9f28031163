//! What a server answers.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode, Uri,
    header::{LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{
    Fault,
    address::{authority, may_follow, resolve},
    challenge::{Challenge, parse},
    transport::cause,
};

/// The largest answer of a server that refuses something, in bytes; what is longer is not told.
const MAX_REFUSAL: u64 = 64 << 10;

/// A server's answer, its body not read yet.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// What was asked, for people.
    pub(super) asked: String,
    /// Whether it comes from somewhere else than asked, which is not to be trusted with credentials.
    pub(super) strayed: bool,
    /// How long each piece of the body may take.
    pub(super) idle: Duration,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What the server wants to know first; `None` when it says nothing that this client understands.
    pub(super) fn challenge(&self) -> Option<Challenge> {
        let lines = self.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
        parse(lines)
    }

    /// Where the answer leads; `None` when it is one.
    pub(super) fn redirect(&self, from: &Uri) -> Result<Option<Uri>, Fault> {
        if !matches!(self.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = self.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let to = location.and_then(|location| resolve(from, location));
        let to = to.ok_or_else(|| Fault::Content(format!("{}: redirected to nowhere", self.asked)))?;
        match may_follow(from, &to) {
            true => Ok(Some(to)),
            false => Err(Fault::Content(format!(
                "{}: redirected to {}, which is not safe",
                self.asked,
                authority(&to)
            ))),
        }
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let broken = |why: &str| Fault::Broken(format!("{}: {why}", self.asked));
        loop {
            let frame = tokio::time::timeout(self.idle, self.response.body_mut().frame()).await;
            match frame.map_err(|_| broken("nothing came in time"))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&cause(&error))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The whole body, which must not be longer than this.
    pub(super) async fn read(mut self, most: u64) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await? {
            if (body.len() + bytes.len()) as u64 > most {
                return Err(Fault::Content(format!(
                    "{}: the answer is larger than {most} bytes",
                    self.asked
                )));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    /// Why this answer is not the one hoped for.
    pub(super) async fn refusal(self) -> Fault {
        let (status, challenge) = (self.status(), self.challenge());
        let after =
            self.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let unexpected = format!("unexpected status from {}: {status}", self.asked);
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Fault::Busy { answer: unexpected, after: after.map(Duration::from_secs) };
        }
        let body = self.read(MAX_REFUSAL).await.unwrap_or_default();
        let (code, message) = first_error(&body);
        let answer = match (challenge, code.is_empty()) {
            (Some(Challenge::Bearer { error: Some(error), .. }), _) => {
                format!("{error}: authorization failed")
            }
            (_, false) => format!("{}: {message}", code.to_lowercase()),
            (_, true) => status.to_string(),
        };
        match (status.as_u16(), code.as_str()) {
            (404, _) | (_, "MANIFEST_UNKNOWN" | "NAME_UNKNOWN") => Fault::NotFound,
            (401 | 403, _) => Fault::Denied(answer),
            _ if code.is_empty() => Fault::Content(unexpected),
            _ => Fault::Content(format!("{unexpected}: {answer}")),
        }
    }
}

/// Code and message of the first error in a registry's answer.
fn first_error(body: &[u8]) -> (String, String) {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| json.pointer(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    (word("/errors/0/code"), word("/errors/0/message"))
}
