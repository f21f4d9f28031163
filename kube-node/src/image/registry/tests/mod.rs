//! The client against registries on this machine.

mod access;
mod content;
mod server;
mod trouble;

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use self::server::{Server, digest};
use super::{Fault, Limits, Reference, RegistryClient, Roots};
use crate::{Error, image::document::Document, seam::RegistryAuth};

/// Quick enough for a test, patient enough for a slow machine.
fn limits() -> Limits {
    Limits { first_delay: Duration::from_millis(1), ..Limits::default() }
}

fn client() -> RegistryClient {
    RegistryClient::new(Roots::System, limits())
}

fn demo(server: &Server, rest: &str) -> Reference {
    Reference::parse(&format!("127.0.0.1:{}/demo{rest}", server.port)).unwrap()
}

/// The manifest of an image with this configuration and this layer.
fn manifest(config: &[u8], layer: &[u8]) -> Value {
    let blob = |bytes: &[u8]| json!({"digest": digest(bytes), "size": bytes.len()});
    json!({"schemaVersion": 2, "config": blob(config), "layers": [blob(layer)]})
}

/// A registry with the image `demo:v1`.
async fn registry() -> Server {
    let server = Server::start().await;
    server.blob(b"config");
    server.blob(b"layer");
    server.manifest("v1", &manifest(b"config", b"layer"));
    server
}

/// Everything of an image: the name's digest, configuration and layers.
async fn pull(
    client: &RegistryClient,
    reference: &Reference,
    auth: Option<&RegistryAuth>,
) -> Result<(String, Vec<Vec<u8>>), Fault> {
    let repository = client.repository(reference, auth);
    let resolved = repository.resolve().await?;
    let manifest = repository.manifest(resolved.document).await?;
    let folder = tempfile::tempdir().unwrap();
    let mut blobs = Vec::new();
    for (number, blob) in manifest.config.iter().map(|config| &**config).chain(&manifest.layers).enumerate() {
        let path: PathBuf = folder.path().join(number.to_string());
        repository.blob(blob, &path).await?;
        blobs.push(std::fs::read(&path).unwrap());
    }
    Ok((resolved.digest, blobs))
}

/// A blob by itself.
async fn blob(server: &Server, digest: &str, size: u64) -> Result<Vec<u8>, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    let blob: Document = serde_json::from_value(json!({"digest": digest, "size": size})).unwrap();
    client().repository(&demo(server, ":v1"), None).blob(&blob, &path).await?;
    Ok(std::fs::read(&path).unwrap())
}

/// What the user reads about a fault.
fn text(fault: Fault) -> String {
    fault.explain("docker.io/library/x:y").to_string()
}
