use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::json;

use super::*;

const TTL: Duration = Duration::from_secs(300);
const NOW: u64 = 1 << 30;

fn tokens(method: &str, private: Option<&str>, public: Option<&str>) -> Result<JsonWebTokens, TokenKeyError> {
    JsonWebTokens::new(method, private.map(str::as_bytes), public.map(str::as_bytes), TTL)
}

fn alice() -> Option<Named> {
    Some(Named { user: "alice".to_owned(), revision: 7 })
}

/// A way of signing, its private key, and its public key in several forms.
struct Case(&'static str, String, Vec<String>);

fn cases() -> Vec<Case> {
    let secret = |method| Case(method, "secret".to_owned(), Vec::new());
    let mut all = vec![secret("HS256"), secret("HS384"), secret("HS512")];
    for (method, algorithm) in
        [("ES256", &PKCS_ECDSA_P256_SHA256), ("ES384", &PKCS_ECDSA_P384_SHA384), ("EdDSA", &PKCS_ED25519)]
    {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        all.push(Case(method, key.serialize_pem(), vec![key.public_key_pem(), certificate]));
    }
    for method in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        all.push(Case(method, RSA_PRIVATE.to_owned(), vec![RSA_PUBLIC.to_owned()]));
    }
    all.push(Case("RS256", RSA_PKCS1.to_owned(), vec![RSA_PUBLIC.to_owned()]));
    all.push(Case("ES256", P256_SEC1.to_owned(), vec![P256_PUBLIC.to_owned()]));
    all.push(Case("ES384", P384_SEC1.to_owned(), vec![P384_PUBLIC.to_owned()]));
    all
}

#[test]
fn a_token_is_whose_it_says_until_it_is_over() {
    for Case(method, private, publics) in cases() {
        let signs = tokens(method, Some(&private), publics.first().map(String::as_str)).unwrap();
        let token = signs.sign("alice", 7, NOW).unwrap();
        assert_eq!(signs.named(&token, NOW + 299), alice(), "{method}");
        assert_eq!(signs.named(&token, NOW + 300), None, "it is over");
        for at in [0, token.len() / 2, token.len() - 3] {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(signs.named(std::str::from_utf8(&other).unwrap(), NOW), None, "{method} {at}");
        }
        for public in publics {
            let reads = tokens(method, None, Some(&public)).unwrap();
            assert_eq!(reads.named(&token, NOW), alice());
            assert_eq!(reads.sign("alice", 7, NOW), None, "it has no key for that");
        }
    }
}

/// Signs any head and any claims.
fn forged(by: &JsonWebTokens, alg: &str, claims: &Value) -> String {
    let text =
        format!("{}.{}", BASE64.encode(json!({ "alg": alg }).to_string()), BASE64.encode(claims.to_string()));
    let tag = by.keys.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64.encode(tag))
}

/// As seen of etcd 3.5.30, by tokens made by hand.
#[test]
fn claims_about_time_are_kept() {
    let tokens = tokens("HS256", Some("secret"), None).unwrap();
    for (name, value, holds) in [
        ("exp", json!(NOW), false),
        ("exp", json!(NOW + 1), true),
        ("exp", json!("soon"), false),
        ("exp", Value::Null, false),
        ("exp", json!(0), true),
        ("nbf", json!(NOW + 1), false),
        ("nbf", json!(NOW), true),
        ("nbf", json!("soon"), false),
        ("iat", json!(NOW + 1), false),
        ("iat", json!(NOW), true),
        ("iat", json!("soon"), false),
        ("other", json!("any"), true),
        ("revision", json!("7"), false),
        ("username", json!(7), false),
    ] {
        let mut claims = json!({ "username": "alice", "revision": 7 });
        claims[name] = value.clone();
        let named = tokens.named(&forged(&tokens, "HS256", &claims), NOW);
        assert_eq!(named, alice().filter(|_| holds), "{name} {value}");
    }
}

#[test]
fn another_method_is_not_taken() {
    let hs = |method: &str, secret: &str| tokens(method, Some(secret), None).unwrap();
    let token = hs("HS512", "secret").sign("alice", 7, NOW).unwrap();
    assert_eq!(hs("HS256", "secret").named(&token, NOW), None);
    // Whose head lies, as of attackers who hope that it is believed: unsigned, or signed with the public key as a secret.
    let claims = json!({ "username": "alice", "revision": 7 });
    let unsigned = forged(&hs("HS256", "secret"), "none", &claims);
    assert_eq!(hs("HS256", "secret").named(&unsigned, NOW), None);
    let rsa = tokens("RS256", None, Some(RSA_PUBLIC)).unwrap();
    for alg in ["HS256", "RS256", "none"] {
        assert_eq!(rsa.named(&forged(&hs("HS256", RSA_PUBLIC), alg, &claims), NOW), None, "{alg}");
    }
    let (head, _) = unsigned.rsplit_once('.').unwrap();
    for text in ["", ".", "..", "...", "a.b.c", &format!("{head}."), head, &format!("{token}.a")] {
        assert_eq!(hs("HS256", "secret").named(text, NOW), None, "{text}");
    }
}

#[test]
fn keys_have_to_fit() {
    let error = |method, private, public| tokens(method, private, public).unwrap_err();
    let (private, public) = (TokenKeyError::Private, TokenKeyError::Public);
    assert_eq!(error("none", None, None), TokenKeyError::Method("none".into()));
    assert_eq!(error("ES512", Some(P256_SEC1), None), TokenKeyError::Method("ES512".into()));
    assert_eq!(error("HS256", None, Some(RSA_PUBLIC)), TokenKeyError::Missing);
    assert_eq!(error("HS256", Some(""), None), TokenKeyError::Missing);
    assert_eq!(error("RS256", None, None), TokenKeyError::Missing);
    assert_eq!(error("RS256", Some(P256_SEC1), None), private("RS256".into()));
    assert_eq!(error("ES384", Some(P256_SEC1), None), private("ES384".into()));
    assert_eq!(error("ES256", Some(RSA_PUBLIC), None), private("ES256".into()));
    assert_eq!(error("RS256", None, Some(P256_PUBLIC)), public("RS256".into()));
    assert_eq!(error("ES384", None, Some(P256_PUBLIC)), public("ES384".into()));
    assert_eq!(error("EdDSA", None, Some(P256_PUBLIC)), public("EdDSA".into()));
    assert_eq!(error("PS256", None, Some("no key")), public("PS256".into()));
    let other = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().public_key_pem();
    assert_eq!(error("ES256", Some(P256_SEC1), Some(&other)), TokenKeyError::Mismatch);
}

// Made for this test by openssl: ring makes no keys for RSA, and rcgen writes none in these forms.
const RSA_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCm8Wm+lwiBMvvK
u9gQjLUsGixS/mJAAHZEHo2zg+x7ZxVKoyzpfgzYIrpCy4EiyInCBuVdII+EuApo
wZPACNUo4jxXBaYn49KMUHpB0ELHzQ8HAwhIq2rNoFXYkPbXENK7YSX+o8/DF97G
HpNzOtDCmMaHKd7yZcyAHgDqZHIfD5i1tyJnqPsB+HEQvUF3S7X3jGqzpqIsiy2U
aXIJnoaGoXmTA6d0jd8Mwcd+N3Yfsv8xzytoh2t4Wc5WEY/dRMZBJHY+uz/nUYaC
ORV3KX2XUoVPdQGwxUVGWVTUm2ErqMHMahx+dwyCVBlH3nkBXZP2vo4qKQFjhHOS
xm9tYWNhAgMBAAECggEADXvBTxPWK5xsjcR7zP2WwtS4vVmvO2NOKgfo6S8/vsll
0aNtEZnze5/cBcaqy9GansGXB0O4xvIxlQhqRvMi4RLbGl3Qb7eM3kLAI4F1abti
k7rNxODJ1yKa2THMKs6nCcKGiRLxL6nfFyCJ4QXgR122tMM2LvaRFjMi+JhB4Pqf
gWtvXVIPJ61cVTunkg58wcyKh0SHs0+UDsMmeadCIXaiGqAsQshyMkxQ6LjHPZEd
Bn6KwnfMhdgwOECiSP0FV384f6P6hEKoIhCymr8tNZ4DAkyJHL6LG0oH4c22spFw
OoOcdZD3bryK4acJSJY6YrOdjrpRI5JXTkYUfCS1iQKBgQDm2u/PGg9O7hItBOeF
xWSfhU50kW1LPclQg1OlP8eH1jLj0M6irSiEtBR/ufr/ArRsVCM9D17oA4q06fFi
9EQOLzWGJGJrp0x8BbIre+HPJw63FUQPBsBJHHbzLMP8qfusTTR216WC/kSUQ9N1
ZpUW3xkRVuHsNOPig+umsNXm+wKBgQC5IGCP/gpbQ8E85fnow8ZzdxzEmVJ7Dvuy
24lFmfP8KKC2AT2uaabZLb5ctNBEbjWaQWtBlQZvzJCXNJAGX2l1l8wAAIRUZyg2
JzYnCzFR7aR727DUz1+CmqcWsxTUSn722xbmCOi0HB44qzFZte3lB6XI2y0+VeeP
p54eT36AUwKBgGVpzGtYcV0lLIrmWqbjXh7NuvduY2roS6W462fuqsK7kEOQGRZR
pzkUuuSZWO/pykTEeW57cB/QXoC3PLlRwQvSJVs2ZJ4SMoFRJ0H+++W6rLY0+172
gkYb4Q1WnwpByjOY/vEuLqFq/cl8Okqas+gGPcbmOf1ABtQdS8pAaNc9AoGAVPdO
OmhPWonjY87tf25zY8VUd8si9wXuca2e+EnrmF0RPded9rHY+S6sgyIdwHqQsYa6
8nOya5eI+U0PmU0rOuR7pbiXA6IA67Hdgdf6P+8BIjO3mkS/QlM2ww1YTwMN+MCf
Zt7J5vhMypeP4+vDDu4OofwubMDCscUtph24Iq8CgYEAiu917NngBFmuretCO9P1
gykpcmEa1qGidcPAmZ2F7lIb5I/H4dmwtAOFPJjEbSOoMDfSKM/5R978kcW0WRyt
hLl/zHX6nJ1YEulUI8QzLCS7+ZonnFXM78aUpYoNZspK1eNgyKUxlupYsEai/VQQ
jjRhMdph6E/VAdSIrIbFW5w=
-----END PRIVATE KEY-----
";
const RSA_PKCS1: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEApvFpvpcIgTL7yrvYEIy1LBosUv5iQAB2RB6Ns4Pse2cVSqMs
6X4M2CK6QsuBIsiJwgblXSCPhLgKaMGTwAjVKOI8VwWmJ+PSjFB6QdBCx80PBwMI
SKtqzaBV2JD21xDSu2El/qPPwxfexh6TczrQwpjGhyne8mXMgB4A6mRyHw+Ytbci
Z6j7AfhxEL1Bd0u194xqs6aiLIstlGlyCZ6GhqF5kwOndI3fDMHHfjd2H7L/Mc8r
aIdreFnOVhGP3UTGQSR2Prs/51GGgjkVdyl9l1KFT3UBsMVFRllU1JthK6jBzGoc
fncMglQZR955AV2T9r6OKikBY4RzksZvbWFjYQIDAQABAoIBAA17wU8T1iucbI3E
e8z9lsLUuL1ZrztjTioH6OkvP77JZdGjbRGZ83uf3AXGqsvRmp7BlwdDuMbyMZUI
akbzIuES2xpd0G+3jN5CwCOBdWm7YpO6zcTgydcimtkxzCrOpwnChokS8S+p3xcg
ieEF4EddtrTDNi72kRYzIviYQeD6n4Frb11SDyetXFU7p5IOfMHMiodEh7NPlA7D
JnmnQiF2ohqgLELIcjJMUOi4xz2RHQZ+isJ3zIXYMDhAokj9BVd/OH+j+oRCqCIQ
spq/LTWeAwJMiRy+ixtKB+HNtrKRcDqDnHWQ9268iuGnCUiWOmKznY66USOSV05G
FHwktYkCgYEA5trvzxoPTu4SLQTnhcVkn4VOdJFtSz3JUINTpT/Hh9Yy49DOoq0o
hLQUf7n6/wK0bFQjPQ9e6AOKtOnxYvREDi81hiRia6dMfAWyK3vhzycOtxVEDwbA
SRx28yzD/Kn7rE00dtelgv5ElEPTdWaVFt8ZEVbh7DTj4oPrprDV5vsCgYEAuSBg
j/4KW0PBPOX56MPGc3ccxJlSew77stuJRZnz/CigtgE9rmmm2S2+XLTQRG41mkFr
QZUGb8yQlzSQBl9pdZfMAACEVGcoNic2JwsxUe2ke9uw1M9fgpqnFrMU1Ep+9tsW
5gjotBweOKsxWbXt5QelyNstPlXnj6eeHk9+gFMCgYBlacxrWHFdJSyK5lqm414e
zbr3bmNq6EuluOtn7qrCu5BDkBkWUac5FLrkmVjv6cpExHlue3Af0F6Atzy5UcEL
0iVbNmSeEjKBUSdB/vvluqy2NPte9oJGG+ENVp8KQcozmP7xLi6hav3JfDpKmrPo
Bj3G5jn9QAbUHUvKQGjXPQKBgFT3TjpoT1qJ42PO7X9uc2PFVHfLIvcF7nGtnvhJ
65hdET3Xnfax2PkurIMiHcB6kLGGuvJzsmuXiPlND5lNKzrke6W4lwOiAOux3YHX
+j/vASIzt5pEv0JTNsMNWE8DDfjAn2beyeb4TMqXj+Prww7uDqH8LmzAwrHFLaYd
uCKvAoGBAIrvdezZ4ARZrq3rQjvT9YMpKXJhGtahonXDwJmdhe5SG+SPx+HZsLQD
hTyYxG0jqDA30ijP+Ufe/JHFtFkcrYS5f8x1+pydWBLpVCPEMywku/maJ5xVzO/G
lKWKDWbKStXjYMilMZbqWLBGov1UEI40YTHaYehP1QHUiKyGxVuc
-----END RSA PRIVATE KEY-----
";
const RSA_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApvFpvpcIgTL7yrvYEIy1
LBosUv5iQAB2RB6Ns4Pse2cVSqMs6X4M2CK6QsuBIsiJwgblXSCPhLgKaMGTwAjV
KOI8VwWmJ+PSjFB6QdBCx80PBwMISKtqzaBV2JD21xDSu2El/qPPwxfexh6TczrQ
wpjGhyne8mXMgB4A6mRyHw+YtbciZ6j7AfhxEL1Bd0u194xqs6aiLIstlGlyCZ6G
hqF5kwOndI3fDMHHfjd2H7L/Mc8raIdreFnOVhGP3UTGQSR2Prs/51GGgjkVdyl9
l1KFT3UBsMVFRllU1JthK6jBzGocfncMglQZR955AV2T9r6OKikBY4RzksZvbWFj
YQIDAQAB
-----END PUBLIC KEY-----
";
const P256_SEC1: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAGebrUkY8VFMXO/yTCC68CAqsKRFQPJVlU+koP324zYoAoGCCqGSM49
AwEHoUQDQgAEpHnylaVNSxQvexzPA5hmEzjXeNJOh2V/dx6KRdK3zOfDt22q5kVD
Jq2XRKsQ7edjImHG94lYppOcdW7oP+RBvg==
-----END EC PRIVATE KEY-----
";
const P256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpHnylaVNSxQvexzPA5hmEzjXeNJO
h2V/dx6KRdK3zOfDt22q5kVDJq2XRKsQ7edjImHG94lYppOcdW7oP+RBvg==
-----END PUBLIC KEY-----
";
const P384_SEC1: &str = "\
-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDDvnZF8chv32Zb042oMKOO/OTHRoNGqh/yCmqvArfPrSnYjusyl8sD5
cmbDL4HnnEWgBwYFK4EEACKhZANiAARezvTseRwkXkF9mFCi2iNUcQO/y+9+VNUa
gTNXK/N16lRuqfl/vugwOviKu0rvFZx3bp1gDgHay+WiqVv4cbu+uHxt9moiWf/M
+XlaKzM2SVCjqDnGFccvC4wiv7ZZCy4=
-----END EC PRIVATE KEY-----
";
const P384_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEXs707HkcJF5BfZhQotojVHEDv8vvflTV
GoEzVyvzdepUbqn5f77oMDr4irtK7xWcd26dYA4B2svloqlb+HG7vrh8bfZqIln/
zPl5WiszNklQo6g5xhXHLwuMIr+2WQsu
-----END PUBLIC KEY-----
";
