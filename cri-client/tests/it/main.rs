//! Integration tests: the generated code, a server that is not there, and Debian's containerd.

mod codegen;
mod containerd;
mod image;
mod root_containerd;

use cri_client::{Client, Error};

#[tokio::test]
async fn a_missing_socket_is_unreachable() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let error =
        Client::connect(dir.path().join("none.sock"), Default::default()).await.expect_err("nobody listens");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
