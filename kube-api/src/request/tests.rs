use http::Method;

use super::*;

fn parse(method: Method, target: &str) -> crate::error::Result<RequestInfo> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    RequestInfo::parse(&method, path, query)
}

#[test]
fn addresses_are_taken_apart() {
    let cases = [
        (Method::GET, "/api/v1/pods", "list", ["", "v1", "pods", "", "", ""]),
        (Method::GET, "/api/v1/namespaces/a/pods?watch=true", "watch", ["", "v1", "pods", "a", "", ""]),
        (Method::GET, "/api/v1/watch/namespaces/a/pods", "watch", ["", "v1", "pods", "a", "", ""]),
        (Method::GET, "/api/v1/namespaces/a", "get", ["", "v1", "namespaces", "a", "a", ""]),
        (
            Method::PUT,
            "/api/v1/namespaces/a/finalize",
            "update",
            ["", "v1", "namespaces", "a", "a", "finalize"],
        ),
        (Method::GET, "/api/v1/namespaces/a/pods/b/exec", "create", ["", "v1", "pods", "a", "b", "exec"]),
        (
            Method::DELETE,
            "/apis/apps/v1/namespaces/a/deployments",
            "deletecollection",
            ["apps", "v1", "deployments", "a", "", ""],
        ),
        (
            Method::PATCH,
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            "patch",
            ["apps", "v1", "deployments", "a", "b", "scale"],
        ),
    ];
    for (method, target, verb, [group, version, resource, namespace, name, subresource]) in cases {
        let info = parse(method, target).unwrap();
        assert!(info.is_resource, "{target}");
        assert_eq!(info.verb.as_str(), verb, "{target}");
        let parts =
            [&info.group, &info.version, &info.resource, &info.namespace, &info.name, &info.subresource];
        assert_eq!(parts, [group, version, resource, namespace, name, subresource], "{target}");
    }
    assert!(!parse(Method::GET, "/apis/apps/v1").unwrap().is_resource);
}

#[test]
fn names_cannot_leave_their_place() {
    for name in ["..", "%2e%2e", "a%2fb", "a%00b", ".", "%ff", "%zz", "a%5cb"] {
        assert!(parse(Method::GET, &format!("/api/v1/namespaces/x/pods/{name}")).is_err(), "{name}");
    }
}
