use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Identity;

/// A kubeconfig with everything inline, for the API server at `server` (a URL) as the user `user`. It is JSON, which is YAML too.
pub fn kubeconfig(server: &str, ca_pem: &str, identity: &Identity, user: &str) -> String {
    let context = format!("{user}@kubernetes");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kubernetes", "cluster": {
            "server": server, "certificate-authority-data": STANDARD.encode(ca_pem)}}],
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(&identity.cert_pem),
            "client-key-data": STANDARD.encode(&identity.key_pem)}}],
        "contexts": [{"name": context, "context": {"cluster": "kubernetes", "user": user}}],
        "current-context": context,
    });
    format!("{config:#}\n")
}
