//! What is pulled.

use super::*;

fn platform(digest: &str, os: &str, architecture: &str) -> Value {
    json!({"digest": digest, "platform": {"os": os, "architecture": architecture}})
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let server = registry().await;
    let (named, blobs) = pull(&client(), &demo(&server, ":v1"), None).await.unwrap();
    assert_eq!(named, digest(manifest(b"config", b"layer").to_string().as_bytes()));
    assert_eq!(blobs, [b"config".to_vec(), b"layer".to_vec()]);
    let by_digest = pull(&client(), &demo(&server, &format!("@{named}")), None).await.unwrap();
    assert_eq!(by_digest, (named, blobs));
}

#[tokio::test]
async fn of_an_index_this_machine_gets_its_own_image() {
    let server = registry().await;
    let ours = crate::image::document::architecture();
    let mine = digest(manifest(b"config", b"layer").to_string().as_bytes());
    let other = format!("sha256:{}", "0".repeat(64));
    let list = json!({"schemaVersion": 2, "manifests": [
        platform(&other, "unknown", "unknown"),
        platform(&other, "windows", ours),
        platform(&other, "linux", "pdp11"),
        platform(&mine, "linux", ours),
    ]});
    let index = server.manifest("many", &list);
    let (named, blobs) = pull(&client(), &demo(&server, ":many"), None).await.unwrap();
    assert_eq!((named, &blobs[1][..]), (index.clone(), &b"layer"[..]), "the index's digest is the image's");
    let nested = json!({"schemaVersion": 2, "manifests": [{"digest": index}]});
    server.manifest("nested", &nested);
    assert_eq!(pull(&client(), &demo(&server, ":nested"), None).await.unwrap().1, blobs);
    server.manifest("none", &json!({"schemaVersion": 2, "manifests": [platform(&mine, "linux", "pdp11")]}));
    let found = text(pull(&client(), &demo(&server, ":none"), None).await.unwrap_err());
    assert!(found.contains("no match for platform linux/"), "{found}");
    server.manifest("hole", &json!({"schemaVersion": 2, "manifests": [platform(&other, "linux", ours)]}));
    let found = text(pull(&client(), &demo(&server, ":hole"), None).await.unwrap_err());
    assert!(found.contains(&format!("content at {other} not found")), "{found}");
}

#[tokio::test]
async fn indexes_are_not_followed_for_ever() {
    let server = registry().await;
    let mut inner = digest(manifest(b"config", b"layer").to_string().as_bytes());
    for depth in 1..=5 {
        inner = server
            .manifest(&depth.to_string(), &json!({"schemaVersion": 2, "manifests": [{"digest": inner}]}));
    }
    pull(&client(), &demo(&server, ":3"), None).await.unwrap();
    let found = text(pull(&client(), &demo(&server, ":5"), None).await.unwrap_err());
    assert!(found.contains("indexes inside each other"), "{found}");
}

#[tokio::test]
async fn other_content_than_promised_is_refused() {
    let server = registry().await;
    let right = digest(b"right");
    server.file(&format!("/v2/demo/blobs/{right}"), b"wrong");
    let found = text(blob(&server, &right, 5).await.unwrap_err());
    assert!(found.contains(&format!("blob {right} has other content")), "{found}");
    server.file(&format!("/v2/demo/manifests/{right}"), br#"{"schemaVersion": 2}"#);
    let found = text(pull(&client(), &demo(&server, &format!("@{right}")), None).await.unwrap_err());
    assert!(found.contains(&format!("manifest {right} has other content")), "{found}");
    assert!(blob(&server, "md5:00", 5).await.is_err());
}

#[tokio::test]
async fn longer_blobs_are_sha_512_too() {
    use sha2::Digest;
    let server = registry().await;
    let bytes = vec![7; 3 << 20];
    let hash = sha2::Sha512::digest(&bytes);
    let name = hash.iter().fold("sha512:".to_owned(), |name, byte| name + &format!("{byte:02x}"));
    server.file(&format!("/v2/demo/blobs/{name}"), &bytes);
    assert_eq!(blob(&server, &name, bytes.len() as u64).await.unwrap(), bytes);
}

#[tokio::test]
async fn what_is_larger_than_agreed_is_not_read_to_its_end() {
    let server = registry().await;
    let found = text(blob(&server, &server.blob(b"12345"), 4).await.unwrap_err());
    assert!(found.contains("is larger than 4 bytes"), "{found}");
    server.file("/v2/demo/manifests/v1", &vec![b' '; (4 << 20) + 1]);
    let found = text(pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err());
    assert!(found.contains("is larger than 4194304 bytes"), "{found}");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let server = registry().await;
    assert_eq!(blob(&server, &server.blob(b""), 0).await.unwrap(), b"");
}

#[tokio::test]
async fn manifests_that_cannot_be_understood_are_refused() {
    let server = registry().await;
    let both = json!({"schemaVersion": 2, "config": {}, "manifests": [{}]});
    for (json, expected) in [
        (json!({"schemaVersion": 1}), "schema version 1 is not supported"),
        (both, "both an index and a manifest"),
        (json!({"schemaVersion": 2}), "no match for platform"),
        (json!("x"), "invalid type"),
    ] {
        server.manifest("odd", &json);
        let found = text(pull(&client(), &demo(&server, ":odd"), None).await.unwrap_err());
        assert!(found.contains(expected), "{found}");
    }
}
