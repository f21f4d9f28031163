//! The name in a client's certificate, which TLS has verified.

use std::sync::Arc;

use x509_parser::prelude::{FromDer, X509Certificate};

/// The name that a client's certificate gave it, if there was one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Certified(Option<Arc<str>>);

impl Certified {
    /// Of what a client has shown on a connection that was agreed on.
    pub(super) fn of(connection: &rustls::ServerConnection) -> Self {
        let shown = connection.peer_certificates().and_then(|chain| chain.first());
        Self(shown.and_then(|certificate| common_name(certificate)).map(Arc::from))
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_deref().filter(|name| !name.is_empty())
    }
}

/// The common name of a certificate in DER; the last one if there are several, as Go has it. Says nothing about who vouches for it.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().last()?.as_str().ok()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_name_is_read_out_of_a_certificate() {
        let named = |name: &str| {
            let mut params = CertificateParams::new(vec!["other".to_owned()]).unwrap();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "group");
            params.distinguished_name.push(DnType::CommonName, name);
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
        };
        assert_eq!(common_name(&named("alice")).as_deref(), Some("alice"));
        let Some(cut) = named("alice").split_last().map(|(_, rest)| rest.to_vec()) else { return };
        assert_eq!(common_name(&cut), None, "it is no certificate");
    }
}
