//! Certificates that a server makes for itself, as etcd does for `--auto-tls`: nobody can listen to its connections, and nobody
//! can tell who is at the other end.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

use super::Pair;
use crate::Failure;

/// As etcd counts it.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where in a folder a certificate and its key are.
pub(crate) fn pair(dir: &Path) -> Pair {
    (dir.join("cert.pem"), dir.join("key.pem"))
}

/// Makes a certificate for hosts, good from `now` on, unless the folder holds one already, which may be over by now, as in etcd.
pub(crate) fn make(dir: &Path, hosts: Vec<String>, years: u32, now: SystemTime) -> Result<(), Failure> {
    let (certificate, key) = pair(dir);
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let until = now.checked_add(YEAR.saturating_mul(years));
    let mut params = CertificateParams::new(hosts)?;
    params.not_before = now.into();
    params.not_after = until.ok_or("--self-signed-cert-validity is too long")?.into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let pair = KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::write(&certificate, made.pem())?;
    // Nobody else may ever have read it.
    let _ = fs::remove_file(&key);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
    file.write_all(pair.serialize_pem().as_bytes())?;
    tracing::warn!(certificate = %certificate.display(), "automatically generated certificates");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_parser::certificate::X509Certificate;
    use x509_parser::prelude::FromDer;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_for_its_hosts_and_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, now) = (dir.path().join("fixtures/client"), SystemTime::UNIX_EPOCH + 30 * YEAR);
        make(&dir, vec!["127.0.0.1".into(), "localhost".into()], 2, now).unwrap();
        let (certificate, key) = pair(&dir);
        let made = fs::read(&certificate).unwrap();
        let der = CertificateDer::from_pem_slice(&made).unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 2);
        let validity = parsed.validity();
        assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 2 * 365 * 24 * 3600);
        assert!(!parsed.is_ca());
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        make(&dir, vec!["other".into()], 1, now).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), made, "it stays for as long as it is there");
        fs::remove_file(&key).unwrap();
        make(&dir, vec!["other".into()], 1, now).unwrap();
        assert_ne!(fs::read(&certificate).unwrap(), made, "half a pair is of no use");
    }
}
