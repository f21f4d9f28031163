//! Where requests go, and where they may go from there. Pure.

use http::Uri;

use super::reference::is_local;

/// Host and port.
pub(super) fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

/// Whether credentials for one address are meant for the other too.
pub(super) fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

/// Where a `Location` leads from `base`; `None` when it is no address that this client would visit.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, host) = (base.scheme_str()?, authority(base));
    let full = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{host}{folder}/{location}")
    };
    let uri: Uri = full.parse().ok()?;
    // A user in the address would be credentials that nobody here gave.
    (uri.host().is_some() && !authority(&uri).contains('@')).then_some(uri)
}

/// Whether one address may send this client to another: what began with TLS goes on with it, and without there is this machine only.
pub(super) fn may_follow(from: &Uri, to: &Uri) -> bool {
    match to.scheme_str() {
        Some("https") => true,
        Some("http") => from.scheme_str() == Some("http") && to.host().is_some_and(is_local),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_with_their_server() {
        let same = |a: &str, b: &str| is_same_server(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://A.example/x", "https://a.example:443/y?z"));
        for other in
            ["https://b.example/", "https://a.example:444/", "http://a.example/", "https://a.example.b/"]
        {
            assert!(!same("https://a.example/", other), "{other}");
        }
    }

    #[test]
    fn redirects_lead_where_they_say_and_nowhere_unsafe() {
        let check = |base: &str, location: &str, expected: Option<&str>| {
            let base: Uri = base.parse().unwrap();
            let found = resolve(&base, location).filter(|to| may_follow(&base, to));
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), expected, "{base} to {location}");
        };
        let base = "https://a/v2/x/blobs/1";
        check(base, "https://b:1/c?d=e#f", Some("https://b:1/c?d=e"));
        check(base, "/c", Some("https://a/c"));
        check(base, "//b/c", Some("https://b/c"));
        check(base, "2", Some("https://a/v2/x/blobs/2"));
        check("http://localhost/a", "http://127.0.0.1:5/b", Some("http://127.0.0.1:5/b"));
        check("http://localhost/a", "https://b/", Some("https://b/"));
        for bad in ["http://a/c", "http://localhost/c", "ftp://a/c", "https://me:secret@a/c", "https://", ""]
        {
            check(base, bad, if bad.is_empty() { Some("https://a/v2/x/blobs/") } else { None });
        }
        check("http://localhost/a", "http://b/", None);
    }
}
