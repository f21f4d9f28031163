use std::os::unix::fs::PermissionsExt;

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn reopened(dir: &Path, now: Timestamp) -> Pki {
    Pki::open(dir, now).unwrap()
}

#[test]
fn identities_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let subject = Subject::new("kubernetes-admin").organization("system:masters");
    let first = reopened(dir.path(), now());
    let (ca, admin) = (first.ca_pem().to_owned(), first.client("admin", &subject).unwrap());
    let second = reopened(dir.path(), now());
    assert_eq!(second.ca_pem(), ca);
    assert_eq!(second.service_account_key(), first.service_account_key());
    assert_eq!(second.client("admin", &subject).unwrap().cert_pem, admin.cert_pem);
}

#[test]
fn identities_are_made_anew_when_they_no_longer_fit() {
    let dir = tempfile::tempdir().unwrap();
    let pki = reopened(dir.path(), now());
    let ips = ["10.0.0.1".parse().unwrap()];
    let first = pki.server("apiserver", "kube-apiserver", &["localhost"], &ips).unwrap();
    let same = pki.server("apiserver", "kube-apiserver", &["localhost"], &ips).unwrap();
    assert_eq!(first.cert_pem, same.cert_pem);
    let more = pki.server("apiserver", "kube-apiserver", &["localhost", "other"], &ips).unwrap();
    assert_ne!(first.cert_pem, more.cert_pem);
    let later = reopened(dir.path(), "2026-12-20T00:00:00Z".parse().unwrap());
    let renewed = later.server("apiserver", "kube-apiserver", &["localhost", "other"], &ips).unwrap();
    assert_ne!(more.cert_pem, renewed.cert_pem);
}

#[test]
fn another_authority_vouches_for_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let subject = Subject::new("someone");
    let identity = reopened(one.path(), now()).client("a", &subject).unwrap();
    assert!(!reopened(two.path(), now()).authority.vouches_for(&identity, &subject, now()));
}

#[test]
fn keys_are_their_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let pki = reopened(dir.path(), now());
    pki.client("a", &Subject::new("a")).unwrap();
    for name in ["ca.key", "sa.key", "a.key"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!format!("{:?}", pki.authority).contains("PRIVATE KEY"));
}

#[test]
fn a_broken_authority_is_named() {
    let dir = tempfile::tempdir().unwrap();
    reopened(dir.path(), now());
    std::fs::write(dir.path().join("ca.crt"), "nonsense").unwrap();
    let error = Pki::open(dir.path(), now()).unwrap_err();
    assert!(error.to_string().ends_with("ca.crt is not a certificate authority"), "{error}");
}
