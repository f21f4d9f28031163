use http_body_util::{BodyExt, Full};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::*;
use crate::pki::{Identity, Pki, Subject};

/// Answers with the client's name, or `anonymous`.
async fn start(pki: &Pki) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let identity = pki.server("server", "server", &["localhost"], &[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let name = request
            .extensions()
            .get::<ClientCertificate>()
            .map_or("anonymous", |c| &c.common_name)
            .to_owned();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(name)))
    });
    let tls = tls_config(&identity, pki.ca_pem()).unwrap();
    let served = tokio::spawn(serve(listener, tls, service, ServeConfig::default(), shutdown.clone()));
    (address, shutdown, served)
}

async fn get(
    address: SocketAddr,
    ca_pem: &str,
    client: Option<&Identity>,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match client {
        Some(identity) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(identity.cert_pem.as_bytes())?],
            PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?,
        )?,
        None => builder.with_no_client_auth(),
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream =
        connector.connect(ServerName::try_from("localhost")?, TcpStream::connect(address).await?).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response =
        sender.send_request(Request::get("/").header("host", "localhost").body(String::new())?).await?;
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?)
}

fn pki(dir: &std::path::Path) -> Pki {
    // Certificates are checked against the machine's clock by TLS itself.
    Pki::open(dir, jiff::Timestamp::now()).unwrap()
}

#[tokio::test]
async fn clients_are_who_their_certificate_says() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (pki, other) = (pki(dir.path()), pki(other.path()));
    let (address, shutdown, served) = start(&pki).await;
    let alice = pki.client("alice", &Subject::new("alice").organization("people")).unwrap();
    assert_eq!(get(address, pki.ca_pem(), Some(&alice)).await.unwrap(), "alice");
    assert_eq!(get(address, pki.ca_pem(), None).await.unwrap(), "anonymous");
    let mallory = other.client("alice", &Subject::new("alice").organization("people")).unwrap();
    assert!(
        get(address, pki.ca_pem(), Some(&mallory)).await.is_err(),
        "another authority's certificate is refused"
    );
    assert!(get(address, other.ca_pem(), None).await.is_err(), "the server proves who it is");
    shutdown.cancel();
    served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens after the shutdown");
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pki = pki(dir.path());
    let one = pki.server("one", "one", &["localhost"], &[]).unwrap();
    let two = pki.server("two", "two", &["localhost"], &[]).unwrap();
    let crossed = Identity { cert_pem: one.cert_pem, key_pem: two.key_pem };
    assert!(matches!(tls_config(&crossed, pki.ca_pem()), Err(TlsError::Mismatch(_))));
    assert!(matches!(tls_config(&two_named("x"), pki.ca_pem()), Err(TlsError::Pem { .. })));
}

fn two_named(text: &str) -> Identity {
    Identity { cert_pem: text.into(), key_pem: text.into() }
}
