//! Images from registries (OCI distribution specification).

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth as Secret;
use oci_client::{Client, Reference};

use super::import::{MAX_DOCUMENT, Parts, digest_name};
use super::store::ImageStore;
use crate::seam::RegistryAuth;
use crate::{Error, Result};

/// Blobs of one image fetched at the same time.
const PARALLEL: usize = 3;

impl ImageStore {
    pub(super) async fn pull_from_registry(&self, name: &str, auth: Option<&RegistryAuth>) -> Result<String> {
        let reference: Reference =
            name.parse().map_err(|error| Error::Invalid(format!("invalid image name {name:?}: {error}")))?;
        let secret = auth.map_or(Secret::Anonymous, secret);
        let client = client(&reference);
        let (manifest, digest) =
            client.pull_image_manifest(&reference, &secret).await.map_err(|error| failed(name, &error))?;
        if let Some(image) = self.get(&digest_name(name, &digest)) {
            let id = image.id.clone();
            self.add(super::Image { tags: tag_of(name), ..image }, None)?;
            return Ok(id);
        }
        if u64::try_from(manifest.config.size).is_ok_and(|size| size > MAX_DOCUMENT) {
            return Err(Error::Failed(format!("{name}: configuration too large")));
        }
        let folder = Arc::new(self.tmp("pull"));
        tokio::fs::create_dir(&*folder).await.map_err(Error::io(format!("create {}", folder.display())))?;
        let result = self.fetch(&client, &reference, &manifest.config, &manifest.layers, &folder).await;
        let result = match result {
            Ok(parts) => self.keep(name, &digest, parts).await,
            Err(error) => Err(error),
        };
        let _left = tokio::fs::remove_dir_all(&*folder).await;
        result
    }

    async fn fetch(
        &self,
        client: &Client,
        reference: &Reference,
        config: &OciDescriptor,
        layers: &[OciDescriptor],
        folder: &std::path::Path,
    ) -> Result<Parts> {
        let fetch = async |number: usize, blob: OciDescriptor| {
            let path = folder.join(number.to_string());
            let file = tokio::fs::File::create(&path)
                .await
                .map_err(Error::io(format!("create {}", path.display())))?;
            // The client compares what it receives with the descriptor's digest.
            client
                .pull_blob(reference, &blob, file)
                .await
                .map_err(|error| failed(&reference.whole(), &error))?;
            Ok::<_, Error>(path)
        };
        let blobs: Vec<(usize, OciDescriptor)> =
            std::iter::once(config).chain(layers).cloned().enumerate().collect();
        let fetches = futures::stream::iter(blobs.into_iter().map(|(number, blob)| fetch(number, blob)));
        let mut paths: Vec<_> = fetches.buffered(PARALLEL).try_collect().await?;
        let path = paths.remove(0);
        let config = tokio::fs::read(&path).await.map_err(Error::io(format!("read {}", path.display())))?;
        let digests = layers.iter().map(|layer| Some(layer.digest.clone())).collect();
        Ok(Parts { config, layers: paths, digests })
    }

    async fn keep(&self, name: &str, digest: &str, parts: Parts) -> Result<String> {
        let _alone = self.lock_unpacking().await;
        let store = self.clone();
        let unpacked = tokio::task::spawn_blocking(move || store.unpack_parts(&parts)).await;
        let mut image = unpacked
            .map_err(|error| Error::Failed(error.to_string()))?
            .map_err(|error| Error::Failed(format!("{name}: {error}")))?;
        image.tags = tag_of(name);
        image.digests = [digest_name(name, digest)].into();
        let id = image.id.clone();
        self.add(image, None)?;
        Ok(id)
    }
}

/// The name as a tag, unless it names a digest.
fn tag_of(name: &str) -> std::collections::BTreeSet<String> {
    if name.contains('@') { std::collections::BTreeSet::new() } else { [name.to_owned()].into() }
}

fn client(reference: &Reference) -> Client {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Without a process-wide provider the client cannot speak TLS at all; losing the race to another installer is fine.
        let _installed = rustls::crypto::ring::default_provider().install_default();
    }
    let registry = reference.resolve_registry().to_owned();
    let host = registry.split(':').next().unwrap_or_default();
    // Registries on this machine are spoken to without TLS, as Docker and containerd do.
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let protocol = if local { ClientProtocol::HttpsExcept(vec![registry]) } else { ClientProtocol::Https };
    Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(std::time::Duration::from_secs(30)),
        read_timeout: Some(std::time::Duration::from_secs(120)),
        ..ClientConfig::default()
    })
}

fn secret(auth: &RegistryAuth) -> Secret {
    if !auth.registry_token.is_empty() {
        Secret::Bearer(auth.registry_token.clone())
    } else if !auth.identity_token.is_empty() {
        Secret::Bearer(auth.identity_token.clone())
    } else if auth.username.is_empty() {
        Secret::Anonymous
    } else {
        Secret::Basic(auth.username.clone(), auth.password.clone())
    }
}

fn failed(name: &str, error: &oci_client::errors::OciDistributionError) -> Error {
    use oci_client::errors::OciDistributionError as Cause;
    match error {
        Cause::RequestError(cause) if cause.is_connect() || cause.is_timeout() => {
            Error::Unavailable { what: "registry", reason: format!("{name}: {cause}") }
        }
        _ => Error::Failed(format!("failed to pull {name}: {error}")),
    }
}
