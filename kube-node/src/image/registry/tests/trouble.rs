//! Registries that are not well.

use super::*;
use server::Trouble;

const MANIFEST: &str = "/v2/demo/manifests/v1";

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Trouble {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Trouble::Answer(status, headers, String::new())
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = registry().await;
    let path = format!("/v2/demo/blobs/{}", digest(b"layer"));
    server.trouble(MANIFEST, [answer(429, &[("retry-after", "0")]), answer(503, &[]), answer(500, &[])]);
    server.trouble(&path, [answer(429, &[]), answer(502, &[])]);
    pull(&client(), &demo(&server, ":v1"), None).await.unwrap();
    assert_eq!((server.asked(MANIFEST).len(), server.asked(&path).len()), (4, 3));
}

#[tokio::test]
async fn a_server_that_stays_busy_is_told_of() {
    let server = registry().await;
    server.trouble(MANIFEST, std::iter::repeat_n(answer(503, &[]), 5));
    let error = pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err().explain("x");
    assert!(matches!(&error, Error::Failed(text) if text.contains("503 Service Unavailable")), "{error}");
    assert_eq!(server.asked(MANIFEST).len(), 5);
    server.trouble(MANIFEST, [answer(429, &[("retry-after", "3600")])]);
    let error = pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err().explain("x");
    assert!(error.to_string().contains("429 Too Many Requests"), "{error}");
    assert_eq!(server.asked(MANIFEST).len(), 6, "nobody waits for an hour");
}

#[tokio::test]
async fn a_broken_blob_is_resumed_where_it_broke() {
    let server = registry().await;
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let name = server.blob(&bytes);
    let path = format!("/v2/demo/blobs/{name}");
    server.trouble(&path, [Trouble::Break(300_000), Trouble::Break(100_000)]);
    assert_eq!(blob(&server, &name, bytes.len() as u64).await.unwrap(), bytes);
    let asked = server.asked(&path);
    let starts: Vec<u64> = asked.iter().map(|seen| start(seen.range.as_deref())).collect();
    assert_eq!(starts.len(), 3, "{starts:?}");
    // How much of a piece arrives before the connection goes is up to the kernel; none of it is fetched again.
    assert!(starts[0] == 0 && starts[1] > 0 && starts[2] > starts[1] && starts[2] <= 400_000, "{starts:?}");
}

fn start(range: Option<&str>) -> u64 {
    range.map_or(0, |range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap())
}

#[tokio::test]
async fn a_server_without_ranges_sends_everything_again() {
    let server = registry().await;
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let name = server.blob(&bytes);
    let path = format!("/v2/demo/blobs/{name}");
    server.trouble(&path, [Trouble::Break(300_000), Trouble::Whole]);
    assert_eq!(blob(&server, &name, bytes.len() as u64).await.unwrap(), bytes);
    // Another piece than the one asked for is as good as none.
    let other = [("content-range", "bytes 0-1/2")];
    server.trouble(&path, [Trouble::Break(300_000), answer(206, &other)]);
    assert_eq!(blob(&server, &name, bytes.len() as u64).await.unwrap(), bytes);
    assert_eq!(server.asked(&path).len(), 2 + 3);
}

#[tokio::test]
async fn a_blob_that_is_shorter_than_promised_is_given_up() {
    let server = registry().await;
    let bytes = vec![1; 3 << 20];
    let name = server.blob(&bytes);
    let fault = blob(&server, &name, bytes.len() as u64 + 1).await.unwrap_err();
    assert!(matches!(fault, Fault::Broken(_)), "{fault:?}");
    let asked = server.asked(&format!("/v2/demo/blobs/{name}")).len();
    assert!((5..=12).contains(&asked), "{asked}");
}

#[tokio::test]
async fn what_is_not_there_is_told_as_upstream_does() {
    let server = registry().await;
    let found = text(pull(&client(), &demo(&server, ":v2"), None).await.unwrap_err());
    let expected = "failed to pull and unpack image \"docker.io/library/x:y\": failed to resolve reference \"docker.io/library/x:y\": \
        docker.io/library/x:y: not found";
    assert_eq!(found, expected);
    let none = digest(b"none");
    let found = text(blob(&server, &none, 4).await.unwrap_err());
    assert!(found.contains("content at") && found.contains(&none), "{found}");
}

#[tokio::test]
async fn where_nobody_answers_the_registry_is_unavailable() {
    let server = registry().await;
    // A port that was free a moment ago, and is not given out again so soon.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let reference = Reference::parse(&format!("127.0.0.1:{port}/demo:v1")).unwrap();
    let error = pull(&client(), &reference, None).await.unwrap_err().explain("x");
    assert!(matches!(&error, Error::Unavailable { what: "registry", .. }), "{error}");
    assert!(error.to_string().contains("onnection refused"), "{error}");
    server.trouble(MANIFEST, std::iter::repeat_n(Trouble::Break(3), 5));
    let error = pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err().explain("x");
    assert!(matches!(&error, Error::Unavailable { .. }), "{error}");
    assert_eq!(server.asked(MANIFEST).len(), 5);
}

#[tokio::test]
async fn silence_is_not_waited_for_longer_than_agreed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reference = format!("127.0.0.1:{}/demo:v1", listener.local_addr().unwrap().port());
    let reference = Reference::parse(&reference).unwrap();
    let limits = Limits { idle: Duration::from_millis(20), attempts: 2, ..limits() };
    let client = RegistryClient::new(Roots::System, limits);
    // The listener takes connections, and that is all it does.
    let fault = pull(&client, &reference, None).await.unwrap_err();
    assert!(matches!(&fault, Fault::Broken(text) if text.contains("no answer in time")), "{fault:?}");
    drop(listener);
}
