//! Whatever a client sends, it gets a `Status` that says what is wrong, and nothing half-done is stored.

use http::Method;
use serde_json::{Value, json};

use crate::raw::{Admin, admin};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn with(name: &str, key: &str, value: Value) -> Value {
    let mut map = map(name);
    map[key] = value;
    map
}

async fn stored(admin: &Admin) -> Vec<Value> {
    admin.get(MAPS).await.ok()["items"].as_array().unwrap().clone()
}

/// Sends a body and expects a refusal that mentions something, and an untouched store.
async fn check(admin: &Admin, target: &str, kind: &str, body: &str, expected: (u16, &str, &str)) {
    let before = stored(admin).await;
    let status = admin.call(Method::POST, target, kind, body.to_owned()).await.status();
    let (code, reason, message) = &status;
    assert_eq!((*code, reason.as_str()), (expected.0, expected.1), "{body:.200}: {message}");
    assert!(message.contains(expected.2), "{body:.200}: {message:?} should contain {:?}", expected.2);
    assert_eq!(stored(admin).await, before);
}

/// Sends each to the config maps, as JSON.
async fn check_maps(cases: impl IntoIterator<Item = (Value, (u16, &str, &str))>) {
    let admin = admin().await;
    for (body, expected) in cases {
        check(&admin, MAPS, JSON, &body.to_string(), expected).await;
    }
}

#[tokio::test]
async fn fields_that_are_not_the_kinds_are_refused() {
    let admin = admin().await;
    let strict = format!("{MAPS}?fieldValidation=Strict");
    let unknown = with("a", "datum", json!({})).to_string();
    check(&admin, &strict, JSON, &unknown, (400, "BadRequest", "unknown field \"datum\"")).await;
    let twice = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}"#;
    check(&admin, &strict, JSON, twice, (400, "BadRequest", "duplicate field \"data.x\"")).await;
    let number = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap";
    check_maps([
        (with("a", "data", json!({"x": 1})), (400, "BadRequest", number)),
        (with("a", "data", json!("x")), (400, "BadRequest", "cannot be handled as a ConfigMap")),
    ])
    .await;
}

#[tokio::test]
async fn objects_that_do_not_belong_where_they_are_sent_are_refused() {
    let other = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    let meta = |meta: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta});
    let unnamed = "metadata.name: Required value: name or generateName is required";
    let elsewhere = "the namespace of the provided object does not match the namespace sent on the request";
    let versioned = "resourceVersion should not be set on objects to be created";
    check_maps([
        (map("A_b"), (422, "Invalid", "metadata.name: Invalid value: \"A_b\"")),
        (map("../../secrets/x"), (422, "Invalid", "metadata.name")),
        (meta(json!({})), (422, "Invalid", unnamed)),
        (other, (400, "BadRequest", "Secret")),
        (meta(json!({"name": "a", "namespace": "kube-system"})), (400, "BadRequest", elsewhere)),
        (meta(json!({"name": "a", "resourceVersion": "7"})), (400, "BadRequest", versioned)),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused() {
    let admin = admin().await;
    for body in ["{", "[]", "", &"[".repeat(100_000)] {
        check(&admin, MAPS, JSON, body, (400, "BadRequest", "")).await;
    }
    check(&admin, MAPS, "application/yaml", "a: [", (400, "BadRequest", "")).await;
    let unknown = (415, "UnsupportedMediaType", "unknown format");
    check(&admin, MAPS, "application/xml", "<a/>", unknown).await;
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_refused() {
    let admin = admin().await;
    let (dry, sometimes) = (format!("{MAPS}?dryRun=Some"), format!("{MAPS}?fieldValidation=Sometimes"));
    let cases = [
        ("/api/v1/namespaces/nowhere/configmaps", (404, "NotFound", "namespaces \"nowhere\" not found")),
        (
            "/api/v1/namespaces/default/things",
            (404, "NotFound", "the server could not find the requested resource"),
        ),
        (&dry, (400, "BadRequest", "dryRun")),
        (&sometimes, (400, "BadRequest", "fieldValidation")),
    ];
    for (target, expected) in cases {
        check(&admin, target, JSON, &map("a").to_string(), expected).await;
    }
}

#[tokio::test]
async fn collections_and_objects_have_their_own_verbs() {
    let admin = admin().await;
    let (before, object) = (stored(&admin).await, format!("{MAPS}/a"));
    for (method, target) in [(Method::POST, object.as_str()), (Method::PUT, MAPS), (Method::PATCH, MAPS)] {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let (code, reason, _) = admin.call(method.clone(), target, kind, map("a").to_string()).await.status();
        assert_eq!((code, reason.as_str()), (405, "MethodNotAllowed"), "{method} {target}");
    }
    assert_eq!(stored(&admin).await, before);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let admin = admin().await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(3 * 1024 * 1024));
    let expected = (413, "RequestEntityTooLarge", "limit is 3145728");
    check(&admin, MAPS, "application/json", &body, expected).await;
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let admin = admin().await;
    admin.post(MAPS, map("a")).await.ok();
    admin.post(MAPS, map("b")).await.ok();
    let first = admin.get(&format!("{MAPS}?limit=1")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let foreign = format!("/api/v1/namespaces/default/secrets?limit=1&continue={token}");
    let cases = [
        (format!("{MAPS}?labelSelector=a%20in"), 400, "BadRequest"),
        (format!("{MAPS}?labelSelector=%3D%3D%3D"), 400, "BadRequest"),
        (format!("{MAPS}?fieldSelector=spec.none%3Dx"), 400, "BadRequest"),
        (format!("{MAPS}?limit=-1"), 400, "BadRequest"),
        (format!("{MAPS}?limit=99999999999999999999"), 400, "BadRequest"),
        (format!("{MAPS}?resourceVersion=x"), 400, "BadRequest"),
        (format!("{MAPS}?resourceVersion=-1"), 400, "BadRequest"),
        (format!("{MAPS}?resourceVersionMatch=Exact"), 400, "BadRequest"),
        (format!("{MAPS}?resourceVersion=18446744073709551615"), 504, "Timeout"),
        (format!("{MAPS}?limit=1&continue=nonsense"), 400, "BadRequest"),
        (format!("{MAPS}?limit=1&continue=e30"), 400, "BadRequest"),
        (format!("{MAPS}?sendInitialEvents=true"), 400, "BadRequest"),
        (foreign, 400, "BadRequest"),
        ("/api/v1/namespaces/a%2fb/configmaps".to_owned(), 400, "BadRequest"),
        ("/api/v1/namespaces/default/configmaps/%2e%2e".to_owned(), 400, "BadRequest"),
        ("/api/v1/namespaces/default/nodes".to_owned(), 404, "NotFound"),
    ];
    for (target, code, reason) in cases {
        let status = admin.get(&target).await.status();
        assert_eq!((status.0, status.1.as_str()), (code, reason), "{target}: {}", status.2);
    }
}

#[tokio::test]
async fn bad_patches_change_nothing() {
    let admin = admin().await;
    let target = format!("{MAPS}/a");
    let before = admin.post(MAPS, map("a")).await.ok();
    let many: Vec<Value> =
        (0..10_001).map(|_| json!({"op": "copy", "from": "/metadata", "path": "/data"})).collect();
    let cases = [
        ("json-patch", json!({"op": "add"}), 400),
        ("json-patch", json!([{"op": "test", "path": "/data/x", "value": "1"}]), 422),
        ("json-patch", json!([{"op": "remove", "path": "/nowhere"}]), 422),
        ("json-patch", Value::Array(many), 413),
        ("json-patch", json!([{"op": "replace", "path": "/metadata/name", "value": "b"}]), 400),
        ("merge-patch", json!("x"), 400),
        ("merge-patch", json!({"data": {"x": 1}}), 400),
        ("merge-patch", json!({"metadata": {"uid": "another"}}), 409),
        ("merge-patch", json!({"metadata": {"resourceVersion": "1"}}), 409),
        ("merge-patch", json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}), 422),
        ("apply-patch", json!({}), 415),
        ("strategic-merge-patch", json!([]), 400),
    ];
    for (kind, patch, code) in cases {
        let status = admin.patch(&target, kind, patch.clone()).await.status();
        assert_eq!(status.0, code, "{kind} {:.100}: {}", patch.to_string(), status.2);
        assert_eq!(admin.get(&target).await.ok(), before);
    }
}

#[tokio::test]
async fn what_cannot_be_accepted_is_said() {
    let admin = admin().await;
    let get = |accept: &str| {
        let request = http::Request::builder().uri("/api/v1/namespaces/default").header("accept", accept);
        request.body(http_body_util::Full::default()).unwrap()
    };
    for (accept, code) in [
        ("application/vnd.kubernetes.protobuf", 406),
        ("application/vnd.kubernetes.protobuf, */*", 200),
        ("application/vnd.kubernetes.protobuf,application/json", 200),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", 200),
    ] {
        assert_eq!(admin.send(get(accept)).await.status().as_u16(), code, "{accept}");
    }
}
