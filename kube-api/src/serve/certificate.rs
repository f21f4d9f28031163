use x509_parser::prelude::{FromDer, X509Certificate};

/// Who a verified client certificate says the client is: a request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject's common name: Kubernetes' user name.
    pub common_name: String,
    /// The subject's organizations: Kubernetes' groups.
    pub organizations: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate, DER; `None` if it is malformed or has no common name.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let organizations =
            subject.iter_organization().filter_map(|o| o.as_str().ok().map(str::to_owned)).collect();
        Some(Self { common_name, organizations })
    }
}
