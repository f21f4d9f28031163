//! Certificates of tests.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority, with a folder for what it has signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: PathBuf,
    signed: u64,
}

impl Authority {
    /// Makes one, and writes its certificate to `ca.crt` and its key to `ca.key`.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(dir.join("ca.key"), key.serialize_pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir: dir.to_owned(), signed: 0 }
    }

    /// Signs a certificate for a common name, this machine and a host; writes it and its key to files of that name. Answers
    /// its number.
    pub(crate) fn sign(&mut self, name: &str, host: &str) -> u64 {
        self.signed += 1;
        let hosts = vec!["127.0.0.1".to_owned(), host.to_owned()];
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(self.signed));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(name, "crt"), certificate.pem()).unwrap();
        std::fs::write(self.file(name, "key"), key.serialize_pem()).unwrap();
        self.signed
    }

    /// Writes to `revoked.crl`, and to `revoked.der` in the other form, that a certificate is not to be believed any more.
    pub(crate) fn revoke(&self, number: u64) {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(number),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        std::fs::write(self.file("revoked", "crl"), list.pem().unwrap()).unwrap();
        std::fs::write(self.file("revoked", "der"), list.der()).unwrap();
    }

    pub(crate) fn file(&self, name: &str, kind: &str) -> String {
        self.dir.join(format!("{name}.{kind}")).to_str().unwrap().to_owned()
    }
}
