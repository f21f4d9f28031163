//! TLS from files, which are read again when they change.

mod limits;
pub(super) mod made;
mod rooted;
mod verifier;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) use self::limits::Limits;
use self::rooted::Rooted;
use self::verifier::{Allowed, Anybody, Clients, Servers};
use crate::Failure;

/// How often to look whether a file changed.
const LOOK: Duration = Duration::from_secs(1);

/// The configuration of the moment.
pub(super) type Current<T = ServerConfig> = watch::Receiver<Arc<T>>;

/// Where the parts of an identity are, and who is let in with what.
#[derive(Debug, Clone)]
pub(super) struct TlsFiles {
    /// Certificate and key of the server.
    pub(super) server: Pair,
    /// The same where this process is the client.
    pub(super) client: Pair,
    /// Who vouches for others. A server that knows one lets in nobody else, as etcd.
    pub(super) authority: Option<PathBuf>,
    /// Whether any server is believed, as where certificates are made by who shows them.
    pub(super) believes_all: bool,
    /// What it does not vouch for any more.
    pub(super) revoked: Option<PathBuf>,
    /// Names of which a client's certificate must have one, if there are any.
    pub(super) allowed_names: Vec<String>,
    /// Hosts of which a client's certificate must be for one, if there are any.
    pub(super) allowed_hosts: Vec<String>,
    pub(super) limits: Limits,
}

pub(super) type Pair = (PathBuf, PathBuf);

impl TlsFiles {
    /// What a server shows, and whom it lets in.
    fn server(&self) -> Result<Arc<ServerConfig>, Failure> {
        let provider = Arc::new(self.limits.provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.limits.versions())?;
        let builder = match &self.authority {
            Some(_) => builder.with_client_cert_verifier(self.verifier(provider)?),
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = load(&self.server)?;
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Failure> {
        let authorities = self.authorities()?;
        let roots = Arc::new(roots(&authorities)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let lists = self.revoked.as_ref().map(|file| revocations(file)).transpose()?.unwrap_or_default();
        let rooted = Rooted::new(authorities, &lists)?;
        if !lists.is_empty() {
            // A list says what was revoked, and not that nothing else was.
            builder =
                builder.with_crls(lists).only_check_end_entity_revocation().allow_unknown_revocation_status();
        }
        let allowed = Allowed::new(&self.allowed_names, &self.allowed_hosts)?;
        Ok(Arc::new(Clients { vouched: builder.build()?, rooted, allowed }))
    }

    /// What a client shows, and whom it believes.
    fn client(&self) -> Result<Arc<ClientConfig>, Failure> {
        let provider = Arc::new(self.limits.provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.limits.versions())?;
        let (chain, key) = load(&self.client)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.believed(provider)?);
        let mut config = builder.with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn believed(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
        if self.believes_all {
            return Ok(Arc::new(Anybody(provider)));
        }
        let authorities = self.authorities()?;
        let roots = Arc::new(roots(&authorities)?);
        let vouched = WebPkiServerVerifier::builder_with_provider(roots, provider).build()?;
        Ok(Arc::new(Servers { vouched, rooted: Rooted::new(authorities, &[])? }))
    }

    fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, Failure> {
        certificates(self.authority.as_ref().ok_or("the authority's certificates are not given")?)
    }

    /// When each file was changed last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let ((shown, key), (other, other_key)) = (&self.server, &self.client);
        let optional = [self.authority.as_ref(), self.revoked.as_ref()];
        let files = [shown, key, other, other_key].into_iter().chain(optional.into_iter().flatten());
        let time = |file: &PathBuf| std::fs::metadata(file).and_then(|data| data.modified()).ok();
        files.map(time).collect()
    }
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    authorities.iter().try_for_each(|certificate| roots.add(certificate.clone()))?;
    Ok(roots)
}

/// A certificate with those that vouch for it, and its key.
fn load((chain, key): &Pair) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let pem = PrivateKeyDer::from_pem_file(key).map_err(|e| told(key, &e))?;
    Ok((certificates(chain)?, pem))
}

/// The lists of a file, in PEM, or one in DER, as etcd takes it. What is neither is refused when the list is used: taken for no
/// list at all, it would let in whom it names.
fn revocations(file: &std::path::Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Failure> {
    let bytes = std::fs::read(file).map_err(|e| told(file, &e))?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let lists = lists.map_err(|e| told(file, &e))?;
    Ok(if lists.is_empty() { vec![bytes.into()] } else { lists })
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
    make: fn(&TlsFiles) -> Result<Arc<T>, Failure>,
    shutdown: CancellationToken,
) -> Result<Current<T>, Failure> {
    let mut seen = files.changed();
    let (sender, current) = watch::channel(make(&files)?);
    tokio::spawn(async move {
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let changed = files.changed();
                if changed == seen {
                    continue;
                }
                seen = changed;
                match make(&files) {
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
