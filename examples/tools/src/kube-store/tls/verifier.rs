//! Who is let in, and who is believed.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::rooted::{End, Rooted};
use crate::Failure;

/// Verifies that whoever shows a certificate has its key, as the verifier in a field does.
macro_rules! signatures_as {
    ($verifier:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.$verifier.verify_tls12_signature(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.$verifier.verify_tls13_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.$verifier.supported_verify_schemes()
        }
    };
}

/// Lets in clients that an authority vouches for, authorities themselves, and of those only some if so asked.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) vouched: Arc<dyn ClientCertVerifier>,
    pub(super) rooted: Rooted,
    pub(super) allowed: Allowed,
}

/// Believes servers that an authority vouches for, and authorities themselves.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) vouched: Arc<WebPkiServerVerifier>,
    pub(super) rooted: Rooted,
}

/// Who is let in of those who could be.
#[derive(Debug)]
pub(super) struct Allowed {
    names: Vec<String>,
    hosts: Vec<ServerName<'static>>,
}

impl Allowed {
    /// Those with one of the common `names`, or with one of the `hosts`; everybody if there are neither.
    pub(super) fn new(names: &[String], hosts: &[String]) -> Result<Self, Failure> {
        let hosts = hosts.iter().map(|host| ServerName::try_from(host.clone()));
        Ok(Self { names: names.to_vec(), hosts: hosts.collect::<Result<_, _>>()? })
    }

    fn allows(&self, certificate: &CertificateDer<'_>) -> bool {
        let has_name = || kube_store::common_name(certificate).is_some_and(|name| self.names.contains(&name));
        let is_for_host = || {
            let parsed = ParsedCertificate::try_from(certificate);
            parsed.is_ok_and(|parsed| self.hosts.iter().any(|host| verify_server_name(&parsed, host).is_ok()))
        };
        (self.names.is_empty() && self.hosts.is_empty()) || has_name() || is_for_host()
    }
}

impl ClientCertVerifier for Clients {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.rooted.check(end_entity, now, End::Client) {
            Some(checked) => checked?,
            None => _ = self.vouched.verify_client_cert(end_entity, intermediates, now)?,
        }
        match self.allowed.allows(end_entity) {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.vouched.root_hint_subjects()
    }

    signatures_as!(vouched);
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(checked) = self.rooted.check(end_entity, now, End::Server) else {
            return self.vouched.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            );
        };
        checked?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures_as!(vouched);
}

/// Believes any server, as members do that make their own certificates: that it has the key of what it shows is looked at, and not
/// who it is.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
