//! The generated code is what the proto files give.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

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
    check_file(&generate(proto_file, package), &format!("{folder}/{package}.rs"));
}

fn check_file(fresh: &str, file: &str) {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&checked_in, fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&checked_in).unwrap();
    assert!(fresh == committed, "{file} is stale: run this test with UPDATE_GENERATED=1");
}

/// A name as Rust has those of statics: `HashKVRequest` is `HASH_KV_REQUEST`.
fn shout(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut shouted = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let is_small =
            |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_lowercase);
        if at > 0 && letter.is_ascii_uppercase() && (is_small(at.checked_sub(1)) || is_small(Some(at + 1))) {
            shouted.push('_');
        }
        shouted.push(letter.to_ascii_uppercase());
    }
    shouted
}

fn field(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Bool => "Bool".to_owned(),
        Kind::Int64 => "Int64".to_owned(),
        Kind::Uint64 => "Uint64".to_owned(),
        Kind::Uint32 => "Uint32".to_owned(),
        Kind::String => "Text".to_owned(),
        Kind::Bytes => "Bytes".to_owned(),
        Kind::Enum(values) => {
            let names: Vec<_> = values.values().map(|value| value.name().to_owned()).collect();
            assert!(
                values.values().map(|value| value.number()).eq(0..names.len() as i32),
                "{}",
                values.name()
            );
            format!("Enum(&{names:?})")
        }
        Kind::Message(message) => format!("Message(&{})", shout(message.name())),
        other => panic!("the gateway does not know {other:?}"),
    };
    let count = if field.is_list() { "many" } else { "one" };
    format!("{count}({}, \"{}\", Kind::{kind})", field.number(), field.name())
}

/// Adds a message and those inside of it.
fn add(messages: &mut BTreeMap<String, String>, message: &MessageDescriptor) {
    let name = shout(message.name());
    if messages.contains_key(&name) {
        return;
    }
    let fields: String = message.fields().map(|each| format!("\n    {},", field(&each))).collect();
    let end = if fields.is_empty() { "" } else { "\n" };
    messages.insert(name, format!("Message(&[{fields}{end}])"));
    for field in message.fields() {
        if let Kind::Message(inside) = field.kind() {
            add(messages, &inside);
        }
    }
}

/// What the gateway has to know of the methods and their messages.
fn tables() -> String {
    let (mut methods, mut messages, mut all) = (String::new(), BTreeMap::new(), Vec::new());
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = ["etcd-v3.proto", "v3lock.proto", "v3election.proto"].map(|file| proto.join(file));
    let pool = DescriptorPool::from_file_descriptor_set(protox::compile(files, [&proto]).unwrap()).unwrap();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let service = method.parent_service();
        let name = format!("{}_{}", shout(service.name()), shout(method.name()));
        let [request, response] = [method.input(), method.output()].map(|message| {
            add(&mut messages, &message);
            shout(message.name())
        });
        let streams = match (method.is_client_streaming(), method.is_server_streaming()) {
            (false, false) => "None",
            (false, true) => "Down",
            (true, true) => "Both",
            (true, false) => panic!("the gateway has no stream that only goes up"),
        };
        let path = format!("/{}/{}", service.full_name(), method.name());
        writeln!(methods, "pub(super) static {name}: Method =\n    method(\"{path}\", &{request}, &{response}, Streams::{streams});")
            .unwrap();
        all.push(format!("&{name}"));
    }
    let messages: String =
        messages.iter().map(|(name, message)| format!("\nstatic {name}: Message = {message};\n")).collect();
    format!(
        "//! Generated from the proto files: their methods, and their messages as far as these need them.\n\n\
         use super::schema::{{Kind, Message, Method, Streams, many, method, one}};\n\n\
         #[cfg(test)]\npub(super) const METHODS: &[&Method] = &[\n    {},\n];\n\n{methods}{messages}",
        all.join(",\n    ")
    )
}

#[test]
fn the_tables_of_the_gateway_match_the_proto_files() {
    check_file(&tables(), "src/etcd/server/gateway/gen/messages.rs");
}

#[test]
fn generated_code_matches_the_proto_files() {
    check("etcd-v3.proto", "etcdserverpb", "src/etcd/gen");
    check("v3lock.proto", "v3lockpb", "src/etcd/gen");
    check("v3election.proto", "v3electionpb", "src/etcd/gen");
    check("peer.proto", "kubestore.peer", "src/raft/peer/gen");
}
