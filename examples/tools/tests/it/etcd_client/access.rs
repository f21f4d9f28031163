//! Who may do what, and how a client shows who it is.

use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, Permission, PermissionType, RoleRevokePermissionOptions,
    TlsOptions, UserAddOptions,
};

use super::{Server, refusal};
use crate::identity::Authority;

#[tokio::test]
async fn users_do_what_their_roles_permit() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.user_add("root", "secret", None).await.unwrap();
    client.user_add("ann", "first", None).await.unwrap();
    client.user_add("nobody", "", Some(UserAddOptions::new().with_no_pwd())).await.unwrap();
    assert_eq!(refusal(client.user_add("ann", "x", None).await), "etcdserver: user name already exists");
    client.role_add("root").await.unwrap();
    client.role_add("web").await.unwrap();
    let own = Permission::new(PermissionType::Readwrite, "web/").with_prefix();
    client.role_grant_permission("web", own.clone()).await.unwrap();
    client.role_grant_permission("web", Permission::read("shared")).await.unwrap();
    assert_eq!(client.role_get("web").await.unwrap().permissions().len(), 2);
    client.user_grant_role("root", "root").await.unwrap();
    client.user_grant_role("ann", "web").await.unwrap();
    assert_eq!(client.user_get("ann").await.unwrap().roles(), ["web"]);
    assert_eq!(client.user_list().await.unwrap().users(), ["ann", "nobody", "root"]);
    assert_eq!(client.role_list().await.unwrap().roles(), ["root", "web"]);
    client.user_change_password("ann", "second").await.unwrap();
    client.auth_enable().await.unwrap();

    assert_eq!(refusal(client.put("web/a", "1", None).await), "etcdserver: user name is empty");
    let wrong = "etcdserver: authentication failed, invalid user ID or password";
    assert_eq!(refusal(server.as_user("ann", "first").await), wrong);
    let mut ann = server.as_user("ann", "second").await.unwrap();
    ann.put("web/a", "1", None).await.unwrap();
    ann.get("shared", None).await.unwrap();
    let denied = "etcdserver: permission denied";
    assert_eq!(refusal(ann.put("shared", "1", None).await), denied);
    assert_eq!(refusal(ann.get("secret", None).await), denied);
    assert_eq!(refusal(ann.user_add("eve", "x", None).await), denied);

    let mut root = server.as_user("root", "secret").await.unwrap();
    root.put("secret", "1", None).await.unwrap();
    let prefix = RoleRevokePermissionOptions::new().with_prefix();
    root.role_revoke_permission("web", "web/", Some(prefix)).await.unwrap();
    ann.refresh_token().await.unwrap();
    assert_eq!(refusal(ann.put("web/a", "2", None).await), denied);
    root.user_revoke_role("ann", "web").await.unwrap();
    root.user_delete("ann").await.unwrap();
    root.role_delete("web").await.unwrap();
    assert_eq!(refusal(root.role_get("web").await), "etcdserver: role name not found");
    root.auth_disable().await.unwrap();
    client.put("web/a", "3", None).await.unwrap();
}

#[tokio::test]
async fn clients_with_a_certificate_are_served_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(dir.path());
    authority.sign("server", "localhost");
    authority.sign("client", "client.example");
    let others = [
        format!("--cert-file={}", authority.file("server", "crt")),
        format!("--key-file={}", authority.file("server", "key")),
        format!("--trusted-ca-file={}", dir.path().join("ca.crt").display()),
        "--client-cert-auth=true".to_owned(),
    ];
    let server = Server::spawn(dir, "https", &others);
    let read = |name: &str, kind: &str| std::fs::read(authority.file(name, kind)).unwrap();
    let known =
        TlsOptions::new().ca_certificate(Certificate::from_pem(read("ca", "crt"))).domain_name("localhost");
    let own = Identity::from_pem(read("client", "crt"), read("client", "key"));
    let options = |tls| Some(ConnectOptions::new().with_tls(tls));
    let mut client = server.ready(options(known.clone().identity(own))).await;
    client.put("a", "over TLS", None).await.unwrap();
    assert_eq!(client.get("a", None).await.unwrap().kvs()[0].value(), b"over TLS");
    let mut stranger = Client::connect([&server.address], options(known)).await.unwrap();
    stranger.get("a", None).await.unwrap_err();
}
