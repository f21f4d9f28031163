use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::image::layer::digest_text;
use crate::image::{ImageFile, Source};

fn digest(bytes: &[u8]) -> String {
    digest_text(&Sha256::digest(bytes))
}

/// A layer with one file, owned by whoever runs the test.
fn layer(name: &str, content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

fn config(layer: &[u8]) -> Vec<u8> {
    let config = json!({"config": {"Cmd": ["run"], "Env": null}, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}});
    config.to_string().into_bytes()
}

/// Writes an OCI layout with one image called `name`.
fn write_layout(folder: &Path, name: &str, layer: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        digest
    };
    let manifest = json!({"config": {"digest": put(&config(layer))}, "layers": [{"digest": put(layer)}]});
    let entry = json!({"digest": put(manifest.to_string().as_bytes()), "annotations": {"org.opencontainers.image.ref.name": name}});
    fs::write(folder.join("index.json"), json!({"manifests": [entry]}).to_string()).unwrap();
}

fn archive(folder: &Path, to: &Path) {
    let mut builder = tar::Builder::new(fs::File::create(to).unwrap());
    builder.append_dir_all(".", folder).unwrap();
    builder.finish().unwrap();
}

fn file_of(store: &ImageStore, image: &Image, name: &str) -> String {
    fs::read_to_string(store.layers_dir().join(ImageStore::layer_name(&image.layers[0])).join(name)).unwrap()
}

#[tokio::test]
async fn layouts_and_archives_in_the_images_folder_are_imported_at_start() {
    let data = tempfile::tempdir().unwrap();
    let images = data.path().join("images");
    write_layout(&images.join("one"), "v1", &layer("one", "1"));
    let scratch = tempfile::tempdir().unwrap();
    write_layout(scratch.path(), "example.com/two:2", &layer("two", "2"));
    archive(scratch.path(), &images.join("two.tar"));
    fs::write(images.join("broken.tar"), "no archive").unwrap();
    let store = ImageStore::open(data.path()).await.unwrap();
    let one = store.get("localhost/one:v1").expect("the layout");
    assert_eq!(file_of(&store, &one, "one"), "1");
    assert_eq!(one.config.cmd, ["run"]);
    let two = store.get("example.com/two:2").expect("the archive");
    assert_eq!(file_of(&store, &two, "two"), "2");
    assert_eq!(store.get(&two.id).as_ref(), Some(&two));
    let again = ImageStore::open(data.path()).await.unwrap();
    let list = again.list().await.unwrap();
    assert!(list.len() == 2 && list.iter().all(|image| image.pinned), "{list:?}");
}

#[tokio::test]
async fn docker_save_archives_are_imported() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let bytes = layer("f", "x");
    fs::create_dir(scratch.path().join("abc")).unwrap();
    fs::write(scratch.path().join("abc/layer.tar"), &bytes).unwrap();
    fs::write(scratch.path().join("c.json"), config(&bytes)).unwrap();
    let manifest = json!([{"Config": "c.json", "RepoTags": ["web:3", "other"], "Layers": ["abc/layer.tar"]}]);
    fs::write(scratch.path().join("manifest.json"), manifest.to_string()).unwrap();
    let tar = data.path().join("web.tar");
    archive(scratch.path(), &tar);
    let store = ImageStore::open(data.path()).await.unwrap();
    assert_eq!(store.import(&tar).await.unwrap().len(), 1);
    assert_eq!(store.get("web:3"), store.get("docker.io/library/other:latest"));
    assert_eq!(store.import(&tar).await.unwrap(), Vec::<String>::new(), "unchanged");
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let store = ImageStore::open(data.path()).await.unwrap();
    let layout = data.path().join("layout");
    let bytes = layer("f", "x");
    write_layout(&layout, "v1", &bytes);
    let blob = layout.join("blobs/sha256").join(digest(&bytes).trim_start_matches("sha256:"));
    fs::write(&blob, layer("f", "evil")).unwrap();
    assert!(store.import(&layout).await.is_err());
    fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &blob).unwrap();
    assert!(store.import(&layout).await.unwrap_err().to_string().contains("leads out"));
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(fs::read_dir(data.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_built_image_is_found_and_its_layer_is_collected_after_its_removal() {
    let data = tempfile::tempdir().unwrap();
    let store = ImageStore::open(data.path()).await.unwrap();
    let file =
        |text: &str| ImageFile { path: "/a/b".into(), source: Source::Bytes(text.into()), mode: 0o644 };
    let first = store.build("localhost/demo", vec![file("1")], ImageConfig::default()).await.unwrap();
    assert_eq!(store.build("localhost/demo", vec![file("1")], ImageConfig::default()).await.unwrap(), first);
    assert_eq!(store.pull("localhost/demo", None).await.unwrap(), first);
    let second = store.build("localhost/demo", vec![file("2")], ImageConfig::default()).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(store.get("localhost/demo:latest").unwrap().id, second);
    let image = store.get("localhost/demo").unwrap();
    assert_eq!(file_of(&store, &image, "a/b"), "2");
    store.remove("localhost/demo").await.unwrap();
    store.remove("localhost/demo").await.unwrap();
    let used: BTreeSet<String> = [ImageStore::layer_name(&image.layers[0])].into();
    store.collect_garbage(used).await.unwrap();
    assert_eq!(fs::read_dir(store.layers_dir()).unwrap().count(), 1, "a container uses it");
    store.collect_garbage(BTreeSet::new()).await.unwrap();
    assert_eq!(fs::read_dir(store.layers_dir()).unwrap().count(), 0);
    assert!(store.pull("localhost/demo", None).await.is_err());
}

#[tokio::test]
async fn a_file_outside_of_the_image_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let store = ImageStore::open(data.path()).await.unwrap();
    let file = ImageFile { path: "/../../out".into(), source: Source::Bytes(Vec::new()), mode: 0o644 };
    assert!(store.build("localhost/x", vec![file], ImageConfig::default()).await.is_err());
}

/// Serves these paths over HTTP until the test ends; everything else is not found.
async fn registry(files: BTreeMap<String, (&'static str, Vec<u8>)>) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let n = socket.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..n]).into_owned();
            let (status, kind, body) = match files.get(head.split(' ').nth(1).unwrap_or_default()) {
                Some((kind, body)) => ("200 OK", *kind, body.as_slice()),
                None => ("404 Not Found", "text/plain", &b""[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            socket.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        }
    });
    port
}

/// The files of a registry with one image `demo:latest`; `sent` is what it sends for the layer `bytes`.
fn registry_files(bytes: &[u8], sent: &[u8]) -> BTreeMap<String, (&'static str, Vec<u8>)> {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    let config = config(bytes);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(bytes), "size": bytes.len()}],
    });
    let manifest = manifest.to_string().into_bytes();
    [
        ("/v2/".to_owned(), ("application/json", b"{}".to_vec())),
        (format!("/v2/demo/blobs/{}", digest(&config)), ("application/octet-stream", config)),
        (format!("/v2/demo/blobs/{}", digest(bytes)), ("application/octet-stream", sent.to_vec())),
        (format!("/v2/demo/manifests/{}", digest(&manifest)), (MANIFEST, manifest.clone())),
        ("/v2/demo/manifests/latest".to_owned(), (MANIFEST, manifest)),
    ]
    .into()
}

#[tokio::test]
async fn images_are_pulled_by_tag_and_by_digest() {
    let data = tempfile::tempdir().unwrap();
    let store = ImageStore::open(data.path()).await.unwrap();
    let bytes = layer("f", "pulled");
    let port = registry(registry_files(&bytes, &bytes)).await;
    let name = format!("localhost:{port}/demo");
    let id = store.pull(&name, None).await.unwrap();
    let image = store.get(&name).unwrap();
    assert_eq!(image.id, id);
    assert!(!image.status().pinned);
    assert_eq!(file_of(&store, &image, "f"), "pulled");
    let by_digest = image.digests.first().unwrap();
    assert_eq!(store.pull(by_digest, None).await.unwrap(), id);
    assert_eq!(store.get(by_digest).unwrap().tags, image.tags);
    assert!(store.pull(&format!("localhost:{port}/other"), None).await.is_err());
    assert_eq!(fs::read_dir(data.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_registry_that_sends_other_content_is_not_believed() {
    let data = tempfile::tempdir().unwrap();
    let store = ImageStore::open(data.path()).await.unwrap();
    let port = registry(registry_files(&layer("f", "good"), &layer("f", "evil"))).await;
    assert!(store.pull(&format!("localhost:{port}/demo"), None).await.is_err());
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(fs::read_dir(data.path().join("layers")).unwrap().count(), 0);
}
