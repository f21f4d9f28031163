//! Who may pull.

use std::sync::Arc;

use super::*;
use server::Trouble;

fn user(name: &str, password: &str) -> RegistryAuth {
    RegistryAuth { username: name.to_owned(), password: password.to_owned(), ..RegistryAuth::default() }
}

/// Locks the registry with a token that its own token service gives.
fn lock(server: &Server, answer: &Value) {
    let port = server.port;
    let challenge = format!(r#"Bearer realm="http://127.0.0.1:{port}/token?a=b",service="my registry""#);
    server.lock("Bearer secret", &challenge);
    server.file("/token", answer.to_string().as_bytes());
}

#[tokio::test]
async fn a_token_is_got_once_and_used_for_everything() {
    for answer in [json!({"token": "secret"}), json!({"access_token": "secret", "expires_in": 300})] {
        let (server, client) = (registry().await, client());
        lock(&server, &answer);
        let reference = demo(&server, ":v1");
        for _ in 0..2 {
            assert_eq!(pull(&client, &reference, None).await.unwrap().1.len(), 2);
        }
        let tokens = server.asked("/token");
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        assert_eq!(tokens[0].path, "/token?a=b&scope=repository%3Ademo%3Apull&service=my%20registry");
        assert_eq!(tokens[0].authorization, None);
        let refused = server.seen().iter().filter(|seen| seen.authorization.is_none()).count();
        assert_eq!(refused, 2, "the first request and the token's: all others carry it");
    }
}

#[tokio::test]
async fn the_scope_asked_for_is_the_one_named() {
    let server = registry().await;
    lock(&server, &json!({"token": "secret"}));
    let challenge = format!(r#"Bearer realm="http://localhost:{}/token",scope="a:b:pull,push""#, server.port);
    server.lock("Bearer secret", &challenge);
    pull(&client(), &demo(&server, ":v1"), None).await.unwrap();
    assert_eq!(server.asked("/token")[0].path, "/token?scope=a%3Ab%3Apull%2Cpush");
}

#[tokio::test]
async fn passwords_go_to_the_token_service_only() {
    let (server, client) = (registry().await, client());
    lock(&server, &json!({"token": "secret"}));
    let (reference, me) = (demo(&server, ":v1"), user("me", "pass:word"));
    pull(&client, &reference, Some(&me)).await.unwrap();
    let basic = "Basic bWU6cGFzczp3b3Jk";
    assert_eq!(server.asked("/token")[0].authorization.as_deref(), Some(basic));
    assert!(server.asked("/v2/").iter().all(|seen| seen.authorization.as_deref() != Some(basic)));
    // Somebody else does not profit from this token.
    pull(&client, &reference, None).await.unwrap();
    assert_eq!(server.asked("/token").len(), 2);
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let server = registry().await;
    lock(&server, &json!({"access_token": "secret"}));
    let auth = RegistryAuth { identity_token: "i/d=".to_owned(), ..RegistryAuth::default() };
    pull(&client(), &demo(&server, ":v1"), Some(&auth)).await.unwrap();
    let [asked] = &server.asked("/token")[..] else { panic!("asked once") };
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token?a=b"));
    let expected = "scope=repository%3Ademo%3Apull&service=my%20registry&grant_type=refresh_token&client_id=kube-node&refresh_token=i%2Fd%3D";
    assert_eq!(asked.body, expected);
}

#[tokio::test]
async fn a_token_that_is_not_taken_any_more_is_replaced() {
    let (server, client) = (registry().await, client());
    lock(&server, &json!({"token": "secret"}));
    let reference = demo(&server, ":v1");
    pull(&client, &reference, None).await.unwrap();
    let challenge = format!(r#"Bearer realm="http://127.0.0.1:{}/token""#, server.port);
    server.lock("Bearer other", &challenge);
    server.file("/token", json!({"token": "other"}).to_string().as_bytes());
    pull(&client, &reference, None).await.unwrap();
    assert_eq!(server.asked("/token").len(), 2);
}

#[tokio::test]
async fn a_token_is_used_no_longer_than_it_lives() {
    let (server, client) = (registry().await, client());
    lock(&server, &json!({"token": "secret", "expires_in": 0}));
    let reference = demo(&server, ":v1");
    client.repository(&reference, None).resolve().await.unwrap();
    client.repository(&reference, None).resolve().await.unwrap();
    assert_eq!(server.asked("/token").len(), 2);
}

#[tokio::test]
async fn a_password_goes_to_a_registry_that_asks_for_one() {
    let (server, client) = (registry().await, client());
    server.lock("Basic bWU6cHc=", r#"Basic realm="here""#);
    let reference = demo(&server, ":v1");
    pull(&client, &reference, Some(&user("me", "pw"))).await.unwrap();
    let refused = server.seen().iter().filter(|seen| seen.authorization.is_none()).count();
    assert_eq!(refused, 1, "it is sent along from then on");
    for auth in [None, Some(user("me", "wrong"))] {
        let fault = pull(&client, &reference, auth.as_ref()).await.unwrap_err();
        assert!(matches!(fault, Fault::Denied(_)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_token_for_the_registry_is_sent_as_it_is() {
    let server = registry().await;
    lock(&server, &json!({"token": "other"}));
    let mut auth = RegistryAuth { registry_token: "secret".to_owned(), ..RegistryAuth::default() };
    pull(&client(), &demo(&server, ":v1"), Some(&auth)).await.unwrap();
    auth.registry_token = "stale".to_owned();
    assert!(matches!(pull(&client(), &demo(&server, ":v1"), Some(&auth)).await, Err(Fault::Denied(_))));
    assert_eq!(server.asked("/token").len(), 0);
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let server = registry().await;
    let challenge =
        format!(r#"Bearer realm="http://127.0.0.1:{}/token",error="insufficient_scope""#, server.port);
    server.lock("Bearer nobody has this", &challenge);
    server.file("/token", br#"{"token":"secret"}"#);
    let denied = "failed to pull and unpack image \"docker.io/library/x:y\": failed to resolve reference \"docker.io/library/x:y\": \
        pull access denied, repository does not exist or may require authorization: server message: ";
    let found = text(pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err());
    assert_eq!(found, format!("{denied}insufficient_scope: authorization failed"));
    let no_token = Trouble::Answer(401, Vec::new(), String::new());
    server.trouble("/token", [no_token]);
    let found = text(pull(&client(), &demo(&server, ":v1"), Some(&user("me", "wrong"))).await.unwrap_err());
    assert!(found.starts_with(denied) && found.contains("failed to fetch oauth token"), "{found}");
    let forbidden =
        Trouble::Answer(403, Vec::new(), r#"{"errors":[{"code":"DENIED","message":"go away"}]}"#.into());
    let open = registry().await;
    open.trouble("/v2/demo/manifests/v1", [forbidden]);
    let found = text(pull(&client(), &demo(&open, ":v1"), None).await.unwrap_err());
    assert_eq!(found, format!("{denied}denied: go away"));
}

#[tokio::test]
async fn redirects_elsewhere_take_no_credentials_along() {
    let (server, storage) = (registry().await, Server::start().await);
    lock(&server, &json!({"token": "secret"}));
    storage.file("/stored", b"layer");
    let path = format!("/v2/demo/blobs/{}", digest(b"layer"));
    let to = |url: String| Trouble::Answer(307, vec![("location", url)], String::new());
    server.trouble(&path, [to(format!("http://localhost:{}/stored?signature=1", storage.port))]);
    let (_, blobs) = pull(&client(), &demo(&server, ":v1"), None).await.unwrap();
    assert_eq!(blobs[1], b"layer");
    let [seen] = &storage.seen()[..] else { panic!("asked once") };
    assert_eq!((seen.authorization.as_deref(), seen.path.as_str()), (None, "/stored?signature=1"));
    // On the same server they stay.
    server.trouble(&path, [to(format!("{path}?again"))]);
    pull(&client(), &demo(&server, ":v1"), None).await.unwrap();
    let again = server.asked(&format!("{path}?again"));
    assert_eq!(again[0].authorization.as_deref(), Some("Bearer secret"));
    // Who was elsewhere has none left, and who is elsewhere gets none for asking.
    server.trouble(&path, [to(format!("http://localhost:{}/back", storage.port))]);
    storage.trouble("/back", [to(format!("http://127.0.0.1:{}{path}?back", server.port))]);
    let back = pull(&client(), &demo(&server, ":v1"), None).await;
    assert!(matches!(back, Err(Fault::Denied(_))), "{back:?}");
    assert_eq!(server.asked(&format!("{path}?back"))[0].authorization, None);
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let server = registry().await;
    let path = "/v2/demo/manifests/v1";
    let again = || Trouble::Answer(302, vec![("location", path.to_owned())], String::new());
    server.trouble(path, std::iter::repeat_with(again).take(5));
    pull(&client(), &demo(&server, ":v1"), None).await.unwrap();
    server.trouble(path, std::iter::repeat_with(again).take(6));
    let found = text(pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err());
    assert!(found.contains("stopped after 5 redirects"), "{found}");
    server.trouble(
        path,
        [Trouble::Answer(302, vec![("location", "http://registry.example/".into())], String::new())],
    );
    let found = text(pull(&client(), &demo(&server, ":v1"), None).await.unwrap_err());
    assert!(found.contains("not safe"), "{found}");
}

#[tokio::test]
async fn registries_elsewhere_are_spoken_to_with_tls_and_checked() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.2".to_owned()]).unwrap();
    let der = key.cert.der().clone();
    let secret = rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], secret)
        .unwrap();
    let server = Server::listen("127.0.0.2", Some(Arc::new(config).into())).await;
    server.blob(b"config");
    server.blob(b"layer");
    server.manifest("v1", &manifest(b"config", b"layer"));
    let reference = Reference::parse(&format!("127.0.0.2:{}/demo:v1", server.port)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der).unwrap();
    let trusting = RegistryClient::new(Roots::Given(Arc::new(roots)), limits());
    assert_eq!(pull(&trusting, &reference, None).await.unwrap().1, [b"config".to_vec(), b"layer".to_vec()]);
    let away = Trouble::Answer(307, vec![("location", "http://localhost:1/".to_owned())], String::new());
    server.trouble("/v2/demo/manifests/v1", [away]);
    let found = text(pull(&trusting, &reference, None).await.unwrap_err());
    assert!(found.contains("not safe"), "what began with TLS goes on with it: {found}");
    server.lock("x", r#"Bearer realm="http://127.0.0.1:1/token""#);
    let found = text(pull(&trusting, &reference, None).await.unwrap_err());
    assert!(found.contains("is not safe"), "tokens too: {found}");
    let nobody = Roots::Given(Arc::new(rustls::RootCertStore::empty()));
    let error =
        pull(&RegistryClient::new(nobody, limits()), &reference, None).await.unwrap_err().explain("x");
    assert!(matches!(&error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}
