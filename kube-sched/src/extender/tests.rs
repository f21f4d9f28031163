use serde_json::json;

use super::*;

#[test]
fn without_a_certificate_to_trust_anybody_is_trusted() {
    let trust = |tls: Option<ExtenderTls>| {
        let config = ExtenderConfig { url_prefix: "https://a".into(), tls, ..ExtenderConfig::default() };
        config.kubeconfig()["clusters"][0]["cluster"].clone()
    };
    assert_eq!(trust(None)["insecure-skip-tls-verify"], true);
    let strict = ExtenderTls {
        ca_data: Some("QQ==".into()),
        server_name: Some("it".into()),
        ..ExtenderTls::default()
    };
    let cluster = trust(Some(strict.clone()));
    assert_eq!(cluster["insecure-skip-tls-verify"], false);
    assert_eq!(
        (&cluster["certificate-authority-data"], &cluster["tls-server-name"]),
        (&json!("QQ=="), &json!("it"))
    );
    assert_eq!(trust(Some(ExtenderTls { insecure: true, ..strict }))["insecure-skip-tls-verify"], true);
}
