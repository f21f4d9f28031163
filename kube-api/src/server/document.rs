//! Paths that are no resources: discovery, version, health, metrics, keys.

use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::{Inner, answer};
use crate::body::Body;
use crate::discovery;
use crate::error::{Error, Result};
use crate::openapi::Document;
use crate::request::Accept;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Inner {
    pub(super) async fn document(&self, call: &Call) -> Result<Response<Body>> {
        let path = call.parts.uri.path();
        if !matches!(call.parts.method, http::Method::GET | http::Method::HEAD) {
            return Err(Error::MethodNotAllowed);
        }
        let parts: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        match parts.as_slice() {
            ["version"] => Ok(answer::value(StatusCode::OK, &version())),
            ["healthz" | "livez" | "readyz", ..] => Ok(self.health(call, &parts).await),
            ["metrics"] => Ok(self.metrics.response()),
            ["openid", "v1", "jwks"] => self.jwks(),
            [".well-known", "openid-configuration"] => self.openid(),
            ["openapi", "v2"] => {
                Accept::parse(&call.parts.headers)?;
                Ok(self.open_api(call, self.openapi.v2()))
            }
            ["openapi", "v3"] => Ok(answer::json(StatusCode::OK, self.openapi.v3_index())),
            ["openapi", "v3", place @ ..] => Ok(self
                .openapi
                .v3(&place.join("/"))
                .map_or_else(not_found, |document| self.open_api(call, document))),
            [] => Ok(answer::value(StatusCode::OK, &paths())),
            _ => self.discover(call, &parts),
        }
    }

    fn discover(&self, call: &Call, parts: &[&str]) -> Result<Response<Body>> {
        let kinds = &self.registry.kinds;
        let config = &self.registry.config;
        let address = format!("{}:{}", config.advertise_address, config.advertise_port);
        let wants_aggregated = matches!(parts, ["api" | "apis"]) && wants_aggregated(call);
        if wants_aggregated {
            let body = discovery::aggregated(kinds, parts == ["api"]).to_string();
            return Ok(answer::typed(StatusCode::OK, HeaderValue::from_static(AGGREGATED), Body::from(body)));
        }
        Accept::parse(&call.parts.headers)?;
        let document = match parts {
            ["api"] => Some(discovery::api_versions(&address)),
            ["api", version] => discovery::api_resource_list(kinds, "", version),
            ["apis"] => Some(discovery::api_group_list(kinds)),
            ["apis", group] => discovery::api_group(kinds, group),
            ["apis", group, version] => discovery::api_resource_list(kinds, group, version),
            _ => None,
        };
        Ok(document.map_or_else(not_found, |d| answer::value(StatusCode::OK, &d)))
    }

    fn open_api(&self, call: &Call, document: &Document) -> Response<Body> {
        let headers = &call.parts.headers;
        let tag = format!("\"{}\"", document.hash);
        let known = headers.get(http::header::IF_NONE_MATCH).is_some_and(|h| h.as_bytes() == tag.as_bytes());
        let mut response = if known {
            answer::json(StatusCode::NOT_MODIFIED, "")
        } else {
            let gzip = Accept::parse(headers).is_ok_and(|accept| accept.gzip);
            let from = if gzip { self.registry.config.gzip_from_bytes } else { usize::MAX };
            answer::compress(answer::json(StatusCode::OK, document.bytes.clone()), from)
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(http::header::ETAG, tag);
        }
        response
    }

    fn jwks(&self) -> Result<Response<Body>> {
        let tokens = self.authenticator.tokens.as_ref().ok_or(Error::UnknownResource)?;
        Ok(answer::value(StatusCode::OK, &tokens.signer.jwks()))
    }

    fn openid(&self) -> Result<Response<Body>> {
        let tokens = self.authenticator.tokens.as_ref().ok_or(Error::UnknownResource)?;
        let issuer = tokens.signer.issuer();
        Ok(answer::value(
            StatusCode::OK,
            &json!({
                "issuer": issuer,
                "jwks_uri": format!("{issuer}/openid/v1/jwks"),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
        ))
    }
}

pub(super) fn not_found() -> Response<Body> {
    answer::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn wants_aggregated(call: &Call) -> bool {
    let headers = call.parts.headers.get_all(http::header::ACCEPT).into_iter();
    let mut wishes = headers.filter_map(|h| h.to_str().ok()).flat_map(|h| h.split(','));
    wishes.any(|wish| {
        let mut parts = wish.split(';').map(str::trim);
        let json = parts.next() == Some("application/json");
        let given: Vec<&str> = parts.collect();
        json && ["g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"]
            .iter()
            .all(|p| given.contains(p))
    })
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "emulationMajor": "1", "emulationMinor": "35",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "34",
        "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc", "platform": concat!("linux/", "amd64"),
    })
}

fn paths() -> Value {
    json!({"paths": [
        "/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics",
        "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version",
    ]})
}
