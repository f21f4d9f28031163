//! TLS from files, which are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// How often to look whether a file changed.
const LOOK: Duration = Duration::from_secs(1);

/// The configuration of the moment.
pub(super) type Current = watch::Receiver<Arc<ServerConfig>>;

/// Where the parts of a server's identity are.
#[derive(Debug, Clone)]
pub(super) struct TlsFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Clients must have a certificate of this authority.
    pub(super) client_authority: Option<PathBuf>,
}

impl TlsFiles {
    fn load(&self) -> Result<Arc<ServerConfig>, Failure> {
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| told(&self.key, &e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(authority)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(certificates(&self.certificate)?, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// When each file was changed last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_authority.as_ref()];
        let time = |file: &PathBuf| std::fs::metadata(file).and_then(|data| data.modified()).ok();
        files.into_iter().flatten().map(time).collect()
    }
}

fn told(file: &std::path::Path, error: &dyn std::fmt::Display) -> Failure {
    format!("{}: {error}", file.display()).into()
}

fn certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let all = CertificateDer::pem_file_iter(file).map_err(|e| told(file, &e))?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|e| told(file, &e))?;
    if all.is_empty() { Err(told(file, &"no certificate")) } else { Ok(all) }
}

/// Reads the files now and whenever one has changed; a change that does not fit together is told and not used.
pub(super) fn watch(files: TlsFiles, shutdown: CancellationToken) -> Result<Current, Failure> {
    let mut seen = files.changed();
    let (sender, current) = watch::channel(files.load()?);
    tokio::spawn(async move {
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let changed = files.changed();
                if changed == seen {
                    continue;
                }
                seen = changed;
                match files.load() {
                    Ok(config) => {
                        tracing::info!("certificates were read again");
                        sender.send_replace(config);
                    }
                    Err(error) => tracing::warn!(%error, "changed certificates are not used"),
                }
            }
        };
        shutdown.run_until_cancelled(look).await;
    });
    Ok(current)
}
