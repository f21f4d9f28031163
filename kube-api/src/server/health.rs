//! `/healthz`, `/livez` and `/readyz`.

use http::{HeaderValue, Response, StatusCode};

use super::call::Call;
use super::{Inner, answer};
use crate::body::Body;

impl Inner {
    pub(super) async fn health(&self, call: &Call, parts: &[&str]) -> Response<Body> {
        let (root, one) = (parts.first().copied().unwrap_or_default(), parts.get(1).copied());
        let query = call.query();
        let store = self.registry.store.status().await.map(|s| s.failure.is_none()).unwrap_or(false);
        let mut checks = vec![("ping", true), ("log", true), ("etcd", store)];
        if root == "readyz" {
            checks.push(("informer-sync", true));
        }
        checks.push(("poststarthook/bootstrap", true));
        if let Some(name) = one {
            return match checks
                .iter()
                .find(|(check, _)| *check == parts.get(1..).unwrap_or_default().join("/"))
            {
                Some((_, true)) => plain(StatusCode::OK, "ok".to_owned()),
                Some((_, false)) => plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("internal server error: {name}: not ok\n"),
                ),
                None => super::document::not_found(),
            };
        }
        let excluded: Vec<&str> = query.all("exclude").collect();
        let mut lines = String::new();
        let mut failed = false;
        for (name, passed) in checks {
            let line = match (excluded.contains(&name), passed) {
                (true, _) => format!("[+]{name} excluded: ok\n"),
                (false, true) => format!("[+]{name} ok\n"),
                (false, false) => format!("[-]{name} failed: reason withheld\n"),
            };
            failed |= !passed && !excluded.contains(&name);
            lines.push_str(&line);
        }
        match (failed, query.get("verbose").is_some()) {
            (true, _) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{root} check failed\n")),
            (false, true) => plain(StatusCode::OK, format!("{lines}{root} check passed\n")),
            (false, false) => plain(StatusCode::OK, "ok".to_owned()),
        }
    }
}

fn plain(code: StatusCode, text: String) -> Response<Body> {
    let mut response = answer::text(code, text);
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
