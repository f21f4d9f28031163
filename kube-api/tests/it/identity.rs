//! Service account tokens: made, used, and dead with what they are bound to.

use http::header::AUTHORIZATION;
use kube_api::pki::Pki;
use kube_api::{Clock, Config};
use serde_json::{Value, json};

use crate::raw::{Admin, Answer, collect};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn admin() -> Admin {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let pki = Pki::open(dir.path(), clock.now()).unwrap();
    let key = Some(pki.service_account_key().to_owned());
    let admin = Admin::with(Config { service_account_key: key, clock, ..Config::default() }).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    admin.post(ACCOUNTS, account).await.ok();
    admin
}

async fn token(admin: &Admin, spec: Value) -> Answer {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    admin.post(&format!("{ACCOUNTS}/default/token"), request).await
}

async fn text(admin: &Admin, spec: Value) -> String {
    token(admin, spec).await.ok()["status"]["token"].as_str().unwrap().to_owned()
}

/// Asks who the bearer is.
async fn whoami(admin: &Admin, token: &str) -> Answer {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("content-type", "application/json");
    let request = request.body(http_body_util::Full::<bytes::Bytes>::from(review)).unwrap();
    collect(tower::ServiceExt::oneshot(admin.server.clone(), request).await.unwrap()).await
}

#[tokio::test]
async fn a_token_is_its_account() {
    let admin = admin().await;
    let token = text(&admin, json!({})).await;
    let review = whoami(&admin, &token).await.ok();
    assert_eq!(review["status"]["userInfo"]["username"], "system:serviceaccount:default:default");
    let groups = review["status"]["userInfo"]["groups"].as_array().unwrap();
    assert!(groups.contains(&json!("system:serviceaccounts:default")));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let payload = head.split_once('.').unwrap().1;
    // {"alg":"none"}
    for forged in
        [format!("eyJhbGciOiJub25lIn0.{payload}."), format!("{head}."), format!("{head}x.{signature}")]
    {
        assert_eq!(whoami(&admin, &forged).await.code, 401, "{forged}");
    }
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    let admin = admin().await;
    let spec = json!({"containers": [{"name": "c", "image": "i"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
    let uid = admin.post(PODS, pod.clone()).await.ok()["metadata"]["uid"].clone();
    let reference = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": uid}});
    let bound = text(&admin, reference.clone()).await;
    let free = text(&admin, json!({})).await;
    let extra = whoami(&admin, &bound).await.ok()["status"]["userInfo"]["extra"].clone();
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["a"]));
    admin.delete(&format!("{PODS}/a")).await.ok();
    assert_eq!(whoami(&admin, &bound).await.code, 401);
    // Another pod of the same name is another pod.
    admin.post(PODS, pod).await.ok();
    assert_eq!(whoami(&admin, &bound).await.code, 401);
    assert_eq!(token(&admin, reference).await.code, 409);
    assert_eq!(whoami(&admin, &free).await.code, 201);
    admin.delete(&format!("{ACCOUNTS}/default")).await.ok();
    assert_eq!(whoami(&admin, &free).await.code, 401);
}

#[tokio::test]
async fn a_token_is_for_its_audience_and_not_for_ever() {
    let admin = admin().await;
    let other = text(&admin, json!({"audiences": ["elsewhere"]})).await;
    assert_eq!(whoami(&admin, &other).await.code, 401);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {
        "token": other, "audiences": ["elsewhere"],
    }});
    let review = admin.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await.ok();
    assert_eq!(review["status"]["authenticated"], true);
    for seconds in [1, 599, i64::MAX] {
        assert_eq!(token(&admin, json!({"expirationSeconds": seconds})).await.code, 422, "{seconds}");
    }
}
