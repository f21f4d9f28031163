use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::pki::Identity;

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate or key is not PEM.
    #[error("{what} is not PEM")]
    Pem {
        /// Which one.
        what: &'static str,
    },
    /// The parts do not fit together.
    #[error("the certificate, its key and the client authority do not fit together")]
    Mismatch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A server's TLS configuration: its identity, and the authority (PEM) of client certificates, which stay optional. Offers HTTP/2
/// and HTTP/1.1.
///
/// # Errors
/// [`TlsError`] if the PEM texts are malformed or do not belong together.
pub fn tls_config(identity: &Identity, client_ca_pem: &str) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let mismatch = |error: Box<dyn std::error::Error + Send + Sync>| TlsError::Mismatch(error);
    let certs = certificates(&identity.cert_pem, "the serving certificate")?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|_| TlsError::Pem { what: "the serving key" })?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(client_ca_pem, "the client authority")? {
        roots.add(certificate).map_err(|e| mismatch(e.into()))?;
    }
    // The provider is named, never a process-wide default: a library must not choose for its user.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| mismatch(e.into()))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(certs, key))
        .map_err(|e| mismatch(e.into()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::Pem { what }),
    }
}
