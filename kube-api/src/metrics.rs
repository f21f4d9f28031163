//! Counters in upstream's names. Labels come from the server's own words only, never from a client's.

use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::body::Body;
use crate::request::RequestInfo;

type Labels = Vec<(&'static str, String)>;

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
}

fn histogram() -> Histogram {
    Histogram::new([0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0])
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Labels, Counter>::default();
        let durations = Family::<Labels, Histogram>::new_with_constructor(histogram);
        registry.register("apiserver_request", "Counter of apiserver requests", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds",
            durations.clone(),
        );
        Self { registry, requests, durations }
    }

    pub(crate) fn observe(
        &self,
        info: Option<&RequestInfo>,
        method: &Method,
        code: StatusCode,
        took: Duration,
    ) {
        // An unknown resource would let clients make up labels.
        let known = info.filter(|i| i.is_resource && code != StatusCode::NOT_FOUND);
        let verb = known.map_or_else(|| method_label(method), |i| i.verb.as_str().to_ascii_uppercase());
        let part = |f: fn(&RequestInfo) -> &String| known.map_or(String::new(), |i| f(i).clone());
        let mut labels = vec![
            ("verb", verb),
            ("group", part(|i| &i.group)),
            ("version", part(|i| &i.version)),
            ("resource", part(|i| &i.resource)),
            ("subresource", part(|i| &i.subresource)),
        ];
        let codes_known = code.is_success() || known.is_some() && code != StatusCode::FORBIDDEN;
        if !codes_known {
            labels.iter_mut().skip(1).for_each(|l| l.1.clear());
        }
        if code.is_success() {
            self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        }
        labels.push(("code", code.as_u16().to_string()));
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut out, &self.registry);
        let mut response = Response::new(Body::from(out));
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(openmetrics));
        response
    }
}

fn method_label(method: &Method) -> String {
    match *method {
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::HEAD => {
            method.to_string()
        }
        _ => "OTHER".to_owned(),
    }
}
