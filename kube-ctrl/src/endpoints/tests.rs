use super::View;
use super::plan::plan;
use crate::runner::{Action, Object};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use serde_json::{Value, json};
use std::sync::Arc;

fn service(spec: Value) -> Arc<Service> {
    Arc::new(
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": spec}))
            .unwrap(),
    )
}

fn pod(name: &str, ip: &str, ready: bool) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}],
                   "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn written(view: &View) -> Option<Endpoints> {
    match plan(view).actions.into_iter().next()? {
        Action::Create(Object::Endpoints(endpoints), _) | Action::Update(Object::Endpoints(endpoints)) => {
            Some(*endpoints)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn addresses_are_sorted_by_readiness_and_number() {
    let service = service(json!({
        "selector": {"app": "web"}, "clusterIP": "10.96.0.9",
        "ports": [{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81}],
    }));
    let pods = vec![pod("x", "10.0.0.10", true), pod("y", "10.0.0.9", true), pod("z", "10.0.0.1", false)];
    let endpoints = written(&View::Service(service.clone(), pods.clone(), None)).unwrap();
    let subsets = endpoints.subsets.clone().unwrap();
    assert_eq!(subsets.len(), 1);
    let ips = |addresses: &Option<Vec<k8s_openapi::api::core::v1::EndpointAddress>>| {
        addresses.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ips(&subsets[0].addresses), ["10.0.0.9", "10.0.0.10"]);
    assert_eq!(ips(&subsets[0].not_ready_addresses), ["10.0.0.1"]);
    let ports: Vec<i32> = subsets[0].ports.iter().flatten().map(|port| port.port).collect();
    assert_eq!(ports, [8080, 81]);
    assert_eq!(written(&View::Service(service, pods, Some(Arc::new(endpoints)))), None, "nothing to do");
}

#[test]
fn a_headless_service_needs_no_ports() {
    let service = service(json!({"selector": {"app": "web"}, "clusterIP": "None"}));
    let endpoints = written(&View::Service(service, vec![pod("x", "10.0.0.10", true)], None)).unwrap();
    assert_eq!(endpoints.subsets.unwrap()[0].ports, None);
    assert_eq!(endpoints.metadata.labels.unwrap()["service.kubernetes.io/headless"], "");
}
