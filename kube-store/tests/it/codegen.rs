//! The generated code of the etcd API is what its proto file gives.

use std::path::Path;

/// Compiles the proto file without protoc and returns the Rust source for it.
fn generate(out: &Path) -> String {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile([proto.join("etcd-v3.proto")], [&proto]).unwrap();
    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)
        .unwrap();
    std::fs::read_to_string(out.join("etcdserverpb.rs")).unwrap()
}

#[test]
fn generated_code_matches_the_proto_file() {
    let out = tempfile::tempdir().unwrap();
    let fresh = generate(out.path());
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/etcd/gen/etcdserverpb.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&checked_in, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&checked_in).unwrap();
    assert!(
        fresh == committed,
        "src/etcd/gen/etcdserverpb.rs is stale: run this test with UPDATE_GENERATED=1"
    );
}
