//! Lets in only certificates with certain names.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::Failure;

/// Of those that another lets in, only those with certain names.
#[derive(Debug)]
pub(super) struct Allowed {
    any: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
    hosts: Vec<ServerName<'static>>,
}

impl Allowed {
    /// Wants one of the common `names`, or if there are none, one of the `hosts`.
    pub(super) fn new(
        any: Arc<dyn ClientCertVerifier>,
        names: &[String],
        hosts: &[String],
    ) -> Result<Self, Failure> {
        let hosts = hosts.iter().map(|host| ServerName::try_from(host.clone()));
        Ok(Self { any, names: names.to_vec(), hosts: hosts.collect::<Result<_, _>>()? })
    }

    fn allows(&self, certificate: &CertificateDer<'_>) -> bool {
        let has_name = kube_store::common_name(certificate).is_some_and(|name| self.names.contains(&name));
        let is_for_host = || {
            let parsed = ParsedCertificate::try_from(certificate);
            parsed.is_ok_and(|parsed| self.hosts.iter().any(|host| verify_server_name(&parsed, host).is_ok()))
        };
        has_name || is_for_host()
    }
}

impl ClientCertVerifier for Allowed {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.any.verify_client_cert(end_entity, intermediates, now)?;
        match self.allows(end_entity) {
            true => Ok(verified),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.any.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}
