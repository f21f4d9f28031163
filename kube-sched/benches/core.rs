//! Pods per second of the scheduling core: 10,000 plain pods on 5,000 nodes, and what a fork costs.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use k8s_openapi::api::core::v1::Pod;
use kube_sched::framework::Profile;
use kube_sched::{NodeInfo, PodInfo, Snapshot, schedule};
use serde_json::{from_value, json};

const NODES: usize = 5_000;
const PODS: usize = 10_000;

fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::new();
    for i in 0..NODES {
        let node = json!({
            "metadata": {"name": format!("node-{i}"), "labels": {"kubernetes.io/hostname": format!("node-{i}"), "topology.kubernetes.io/zone": format!("zone-{}", i % 3)}},
            "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}},
        });
        snapshot
            .upsert_node(Arc::new(NodeInfo::parse(&from_value(node).expect("a node")).expect("quantities")));
    }
    snapshot
}

fn pods(spec: &serde_json::Value) -> Vec<PodInfo> {
    let pod = |i| -> Pod {
        from_value(json!({"metadata": {"name": format!("pod-{i}"), "namespace": "default"}, "spec": spec}))
            .expect("a pod")
    };
    (0..PODS).map(|i| PodInfo::parse(pod(i)).expect("quantities")).collect()
}

fn place_all(snapshot: &mut Snapshot, pods: &[PodInfo]) {
    let (profile, mut rng) = (Profile::default(), Rng::with_seed(1));
    for pod in pods {
        let decision = schedule(snapshot, pod, &profile, &mut rng);
        if let Some(node) = decision.node() {
            snapshot.assume(pod, node);
        }
    }
}

fn core(criterion: &mut Criterion) {
    let snapshot = cluster();
    let containers = json!([{"name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}}]);
    let term = json!({"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["zone-1", "zone-2"]}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(PODS as u64)).sample_size(10);
    for (name, spec) in [
        ("basic", json!({"containers": containers})),
        ("node-affinity", json!({"containers": containers, "affinity": affinity})),
    ] {
        let pods = pods(&spec);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || snapshot.fork(),
                |mut fork| place_all(&mut fork, &pods),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    let pod = pods(&json!({"containers": containers})).remove(0);
    criterion.bench_function("fork, place a pod, drop", |bencher| {
        bencher.iter(|| {
            let mut fork = snapshot.fork();
            fork.assume(&pod, &"node-77".into());
            black_box(fork)
        });
    });
}

criterion_group!(benches, core);
criterion_main!(benches);
