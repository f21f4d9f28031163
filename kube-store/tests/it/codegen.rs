//! The generated code is what the proto files give.

use std::path::Path;

/// Compiles a proto file without protoc and returns the Rust source for it.
fn generate(proto_file: &str, package: &str) -> String {
    let out = tempfile::tempdir().unwrap();
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile([proto.join(proto_file)], [&proto]).unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .build_transport(false)
        .bytes(".")
        .server_mod_attribute("etcdserverpb", "#[cfg(feature = \"server\")]")
        .compile_fds(descriptors)
        .unwrap();
    std::fs::read_to_string(out.path().join(format!("{package}.rs"))).unwrap()
}

fn check(proto_file: &str, package: &str, folder: &str) {
    let fresh = generate(proto_file, package);
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{package}.rs"));
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&checked_in, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&checked_in).unwrap();
    assert!(fresh == committed, "{folder}/{package}.rs is stale: run this test with UPDATE_GENERATED=1");
}

#[test]
fn generated_code_matches_the_proto_files() {
    check("etcd-v3.proto", "etcdserverpb", "src/etcd/gen");
    check("v3lock.proto", "v3lockpb", "src/etcd/gen");
    check("v3election.proto", "v3electionpb", "src/etcd/gen");
    check("peer.proto", "kubestore.peer", "src/raft/peer/gen");
}
