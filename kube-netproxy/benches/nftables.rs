//! Programs the packet filter of a network namespace of its own and says how long it took. Needs root.
//!
//! `cargo bench -p kube-netproxy` prints one tab-separated line per figure: name, value, unit.
#![expect(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a program for people")]

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube_netproxy::{Compiler, Config, Dataplane, Nftables};
use rustix::thread::UnshareFlags;
use serde_json::json;
use tokio::time::Instant;

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root for a network namespace");
        return;
    }
    // A thread of its own, as the namespace belongs to the thread that opens the dataplane.
    std::thread::spawn(measure).join().unwrap();
}

fn measure() {
    #[expect(deprecated, reason = "safe: the namespace of file descriptors is not unshared")]
    rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for services in [1000, 5000, 8000, 20_000, 44_000] {
            cold(services).await;
        }
        for services in [1000, 20_000] {
            changes(services).await;
        }
    });
}

fn report(name: &str, value: Duration) {
    println!("{name}\t{:.3}\tms", value.as_secs_f64() * 1000.0);
}

fn address(network: u8, n: usize) -> IpAddr {
    let [_, b, c, d] = u32::try_from(n).unwrap().to_be_bytes();
    IpAddr::from([network, b, c, d])
}

fn service(n: usize) -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": format!("s{n}"), "namespace": "default"},
        "spec": {"clusterIP": address(172, n + 1), "ports": [{"port": 80}]},
    }))
    .unwrap()
}

fn slice(n: usize, endpoints: [usize; 3]) -> EndpointSlice {
    let endpoints =
        endpoints.map(|e| json!({"addresses": [address(10, e + 1)], "nodeName": format!("n{}", e % 100)}));
    serde_json::from_value(json!({
        "metadata": {"name": format!("s{n}"), "namespace": "default", "labels": {"kubernetes.io/service-name": format!("s{n}")}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": endpoints,
    }))
    .unwrap()
}

fn filled(services: usize) -> Compiler {
    let config = Config {
        node_name: "n1".into(),
        cluster_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let mut compiler = Compiler::new(config);
    for n in 0..services {
        compiler.set_service(service(n));
        compiler.set_slice(slice(n, [3 * n, 3 * n + 1, 3 * n + 2]));
    }
    compiler
}

async fn cold(services: usize) {
    let mut compiler = filled(services);
    let started = Instant::now();
    compiler.refresh();
    report(&format!("compile {services} services x 3"), started.elapsed());
    let dataplane = Nftables::new(Config::default()).unwrap();
    dataplane.cleanup().await.unwrap();
    let started = Instant::now();
    let applied = dataplane.apply(compiler.ruleset()).await.unwrap();
    report(&format!("cold program {services} services x 3 ({} elements)", applied.added), started.elapsed());
    dataplane.cleanup().await.unwrap();
}

/// From the object in hand to the kernel's word.
async fn changes(services: usize) {
    let mut compiler = filled(services);
    let dataplane = Nftables::new(Config::default()).unwrap();
    dataplane.apply(compiler.refresh()).await.unwrap();
    let mut times = Vec::new();
    for round in 0..200 {
        let n = round * 37 % services;
        let changed = slice(n, [3 * n, 3 * n + 1, 3 * services + round]);
        let started = Instant::now();
        compiler.set_slice(changed);
        let applied = dataplane.apply(compiler.refresh()).await.unwrap();
        times.push(started.elapsed());
        assert!(!applied.rebuilt && applied.added <= 2, "{applied:?}");
    }
    times.sort();
    report(&format!("change one endpoint at {services} services, p50"), times[times.len() / 2]);
    report(&format!("change one endpoint at {services} services, p99"), times[times.len() * 99 / 100]);
    let mut times = Vec::new();
    for n in services..services + 50 {
        let (service, slice) = (service(n), slice(n, [3 * n, 3 * n + 1, 3 * n + 2]));
        let started = Instant::now();
        compiler.set_slice(slice);
        compiler.set_service(service);
        dataplane.apply(compiler.refresh()).await.unwrap();
        times.push(started.elapsed());
    }
    times.sort();
    report(&format!("add one service at {services} services, p50"), times[times.len() / 2]);
    dataplane.cleanup().await.unwrap();
}
