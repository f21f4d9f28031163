use std::path::Path;

/// Compiles the proto file without protoc and returns the Rust source for it.
fn generate(out: &Path) -> String {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors =
        protox::compile([proto.join("cri-v1.proto")], [&proto]).expect("the proto file compiles");
    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(false)
        .skip_debug(["runtime.v1.AuthConfig"])
        .server_mod_attribute("runtime.v1", "#[cfg(feature = \"server\")]")
        .compile_fds(descriptors)
        .expect("code is generated");
    std::fs::read_to_string(out.join("runtime.v1.rs")).expect("the generator wrote its file")
}

#[test]
fn generated_code_matches_the_proto_file() {
    let out = tempfile::tempdir().expect("a temporary directory");
    let fresh = generate(out.path());
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen/runtime_v1.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&checked_in, &fresh).expect("the generated file can be written");
    }
    let committed = std::fs::read_to_string(&checked_in).expect("the generated file is checked in");
    assert!(fresh == committed, "src/gen/runtime_v1.rs is stale: run this test with UPDATE_GENERATED=1");
}
