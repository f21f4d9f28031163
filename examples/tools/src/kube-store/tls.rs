//! TLS from files, which are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// How often to look whether a file changed.
const LOOK: Duration = Duration::from_secs(1);

/// The configuration of the moment.
pub(super) type Current<T = ServerConfig> = watch::Receiver<Arc<T>>;

/// Where the parts of an identity are.
#[derive(Debug, Clone)]
pub(super) struct TlsFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Who vouches for others.
    pub(super) authority: Option<PathBuf>,
    /// Whether clients must have a certificate of the authority; without it etcd asks no client for one.
    pub(super) asks_clients: bool,
}

impl TlsFiles {
    /// What a server shows, and whom it lets in.
    fn server(&self) -> Result<Arc<ServerConfig>, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = if self.asks_clients {
            let roots = Arc::new(self.roots()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(certificates(&self.certificate)?, self.key()?)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// What a client shows, and whom it believes.
    fn client(&self) -> Result<Arc<ClientConfig>, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(self.roots()?);
        let mut config = builder.with_client_auth_cert(certificates(&self.certificate)?, self.key()?)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Failure> {
        PrivateKeyDer::from_pem_file(&self.key).map_err(|e| told(&self.key, &e))
    }

    fn roots(&self) -> Result<RootCertStore, Failure> {
        let authority = self.authority.as_ref().ok_or("the authority's certificates are not given")?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority)? {
            roots.add(certificate)?;
        }
        Ok(roots)
    }

    /// When each file was changed last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [Some(&self.certificate), Some(&self.key), self.authority.as_ref()];
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

/// What a server shows as the files are now, and whenever one has changed.
pub(super) fn watch_server(files: TlsFiles, shutdown: CancellationToken) -> Result<Current, Failure> {
    watch(files, TlsFiles::server, shutdown)
}

/// The same of a client.
pub(super) fn watch_client(
    files: TlsFiles,
    shutdown: CancellationToken,
) -> Result<Current<ClientConfig>, Failure> {
    watch(files, TlsFiles::client, shutdown)
}

/// A change that does not fit together is told and not used.
fn watch<T: Send + Sync + 'static>(
    files: TlsFiles,
    load: fn(&TlsFiles) -> Result<Arc<T>, Failure>,
    shutdown: CancellationToken,
) -> Result<Current<T>, Failure> {
    let mut seen = files.changed();
    let (sender, current) = watch::channel(load(&files)?);
    tokio::spawn(async move {
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let changed = files.changed();
                if changed == seen {
                    continue;
                }
                seen = changed;
                match load(&files) {
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
