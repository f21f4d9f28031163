use super::*;

const NOW: i64 = 1_800_000_000;

fn signer(issuer: &str) -> Signer {
    let key = rcgen::KeyPair::generate().unwrap();
    Signer::from_pem(&key.serialize_pem(), issuer).unwrap()
}

fn claims() -> Claims {
    Claims {
        sub: "system:serviceaccount:default:app".into(),
        aud: Audiences(vec!["https://kubernetes.default.svc".into()]),
        exp: NOW + 3600,
        nbf: NOW,
        iat: NOW,
        kubernetes: Kubernetes {
            namespace: "default".into(),
            serviceaccount: Bound { name: "app".into(), uid: "1".into() },
            pod: Some(Bound { name: "app-x".into(), uid: "2".into() }),
            ..Kubernetes::default()
        },
        ..Claims::default()
    }
}

#[test]
fn what_was_signed_is_verified() {
    let signer = signer("https://issuer");
    let verified = signer.verify(&signer.sign(&claims()).unwrap(), NOW).unwrap();
    assert_eq!(verified, claims().issued_by("https://issuer"));
}

#[test]
fn everything_else_is_refused() {
    let signer = signer("https://issuer");
    let token = signer.sign(&claims()).unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let with_header = |json: &str| format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(json), parts[1], parts[2]);
    let raised = token.replace(parts[1], &part(&Claims { sub: "system:admin".into(), ..claims() }).unwrap());
    let kid = &signer.kid;
    let cases = [
        ("", NOW, TokenError::Malformed),
        ("a.b", NOW, TokenError::Malformed),
        ("a.b.c", NOW, TokenError::Malformed),
        (&with_header(&format!(r#"{{"alg":"none","kid":"{kid}"}}"#)), NOW, TokenError::Foreign),
        (&with_header(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)), NOW, TokenError::Foreign),
        (&with_header(r#"{"alg":"ES256","kid":"other"}"#), NOW, TokenError::Foreign),
        (&raised, NOW, TokenError::Signature),
        (&token, NOW + 3600, TokenError::Time),
        (&token, NOW - 1, TokenError::Time),
        (&"x".repeat(MAX_TOKEN_BYTES * 2).replacen("xx", ".x", 2), NOW, TokenError::Malformed),
    ];
    for (token, now, expected) in cases {
        assert_eq!(signer.verify(token, now), Err(expected), "{token}");
    }
    assert!(signer.verify(&super::tests::signer("https://issuer").sign(&claims()).unwrap(), NOW).is_err());
}

#[test]
fn another_issuer_with_the_same_key_is_refused() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let token = Signer::from_pem(&key, "https://other").unwrap().sign(&claims()).unwrap();
    let here = Signer::from_pem(&key, "https://issuer").unwrap();
    assert_eq!(here.verify(&token, NOW), Err(TokenError::Issuer));
}

#[test]
fn a_key_that_is_none_is_refused() {
    assert_eq!(Signer::from_pem("nonsense", "i").err(), Some(TokenError::Key));
}

#[test]
fn the_public_key_can_be_published() {
    let jwks = signer("i").jwks();
    assert_eq!(jwks["keys"][0]["x"].as_str().map(str::len), Some(43));
}
