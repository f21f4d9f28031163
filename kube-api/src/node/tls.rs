use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;

use super::{Connection, NodeAddress, NodeConnector};
use crate::pki::Identity;
use crate::serve::TlsError;

/// How long an agent may take to accept a connection and prove who it is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Dials agents over TCP and TLS, with a client certificate, and checks that their certificate is for the address dialled.
pub struct TlsConnector {
    tls: tokio_rustls::TlsConnector,
}

impl TlsConnector {
    /// A connector that shows `identity` and trusts agents whose certificate the authority `ca_pem` signed.
    ///
    /// # Errors
    /// [`TlsError`] if the PEM texts are malformed or do not belong together.
    pub fn new(identity: &Identity, ca_pem: &str) -> Result<Self, TlsError> {
        let pem = |what| move |_| TlsError::Pem { what };
        let mismatch = |error: rustls::Error| TlsError::Mismatch(error.into());
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(pem("the agents' authority"))?;
        roots.add(ca).map_err(mismatch)?;
        let cert = CertificateDer::from_pem_slice(identity.cert_pem.as_bytes())
            .map_err(pem("the client certificate"))?;
        let key =
            PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(pem("the client key"))?;
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder.with_root_certificates(roots).with_client_auth_cert(vec![cert], key)
                })
                .map_err(mismatch)?;
        Ok(Self { tls: Arc::new(config).into() })
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

#[async_trait]
impl NodeConnector for TlsConnector {
    async fn connect(&self, node: &NodeAddress) -> std::io::Result<Box<dyn Connection>> {
        let dialled = async {
            let name = ServerName::try_from(node.host.clone()).map_err(std::io::Error::other)?;
            let stream = TcpStream::connect((node.host.as_str(), node.port)).await?;
            stream.set_nodelay(true)?;
            self.tls.connect(name, stream).await
        };
        Ok(Box::new(tokio::time::timeout(CONNECT_TIMEOUT, dialled).await??))
    }
}
