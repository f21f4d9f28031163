use super::View;
use super::plan::plan;
use crate::runner::{Action, Object};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn service(patch: Value) -> Arc<Service> {
    let mut spec = json!({
        "selector": {"app": "web"}, "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"],
        "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}],
    });
    for (name, value) in patch.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let metadata = json!({"name": "web", "namespace": "ns", "uid": "svc", "labels": {"team": "x"}});
    Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap())
}

fn pod(number: usize, port: i32, ready: bool, deleting: bool) -> Arc<Pod> {
    let ip = format!("10.1.{}.{}", number / 200, number % 200 + 1);
    let mut pod = json!({
        "metadata": {"name": format!("p{number:04}"), "namespace": "ns", "uid": format!("u{number:04}"), "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}],
                   "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    if deleting {
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn view(service: Arc<Service>, pods: Vec<Arc<Pod>>, slices: Vec<Arc<EndpointSlice>>) -> View {
    View { service, pods, slices, zones: BTreeMap::from([("n1".into(), "z1".into())]) }
}

fn writes(view: &View) -> Vec<Action> {
    match plan(view).actions.into_iter().next() {
        Some(Action::Together(actions)) => actions,
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn created(actions: &[Action]) -> Vec<EndpointSlice> {
    let slice = |action: &Action| match action {
        Action::Create(Object::EndpointSlice(slice), _) => Some(slice.as_ref().clone()),
        _ => None,
    };
    actions.iter().filter_map(slice).collect()
}

/// As the server would store them.
fn stored(slices: Vec<EndpointSlice>) -> Vec<Arc<EndpointSlice>> {
    let name = |(at, mut slice): (usize, EndpointSlice)| {
        slice.metadata.name = Some(format!("web-{at}"));
        slice.metadata.uid = Some(format!("slice-{at}"));
        Arc::new(slice)
    };
    slices.into_iter().enumerate().map(name).collect()
}

#[test]
fn conditions_tell_ready_serving_and_terminating() {
    let check = |ready, deleting, publish: bool, expected: [bool; 3]| {
        let service = service(json!({"publishNotReadyAddresses": publish}));
        let slice = created(&writes(&view(service, vec![pod(1, 8080, ready, deleting)], vec![]))).remove(0);
        let conditions = slice.endpoints[0].conditions.clone().unwrap();
        let found = [conditions.ready, conditions.serving, conditions.terminating];
        assert_eq!(found, expected.map(Some), "{ready} {deleting} {publish}");
    };
    check(true, false, false, [true, true, false]);
    check(false, false, false, [false, false, false]);
    check(true, true, false, [false, true, true]);
    check(false, false, true, [true, false, false]);
    check(true, true, true, [true, true, true]);
}

#[test]
fn a_slice_says_where_its_endpoints_are() {
    let slice =
        created(&writes(&view(service(json!({})), vec![pod(1, 8080, true, false)], vec![]))).remove(0);
    let labels = slice.metadata.labels.unwrap();
    assert_eq!(labels["kubernetes.io/service-name"], "web");
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!(labels["team"], "x");
    let endpoint = &slice.endpoints[0];
    assert_eq!((endpoint.node_name.as_deref(), endpoint.zone.as_deref()), (Some("n1"), Some("z1")));
    assert_eq!(endpoint.addresses, ["10.1.0.2"]);
    assert_eq!(endpoint.target_ref.as_ref().unwrap().name.as_deref(), Some("p0001"));
    assert_eq!(slice.ports.unwrap()[0].port, Some(8080));
}

#[test]
fn slices_hold_at_most_a_hundred_and_change_as_little_as_possible() {
    let pods: Vec<Arc<Pod>> = (0..250).map(|number| pod(number, 8080, true, false)).collect();
    let first = created(&writes(&view(service(json!({})), pods.clone(), vec![])));
    let mut sizes: Vec<usize> = first.iter().map(|slice| slice.endpoints.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);

    let slices = stored(first);
    assert_eq!(writes(&view(service(json!({})), pods.clone(), slices.clone())), [], "nothing to do");

    let mut fewer = pods.clone();
    fewer.remove(0);
    let one = writes(&view(service(json!({})), fewer, slices.clone()));
    assert!(matches!(one.as_slice(), [Action::Update(_)]), "one pod less is one write");

    let mut more = pods;
    more.push(pod(250, 8080, true, false));
    let one = writes(&view(service(json!({})), more, slices));
    let [Action::Update(Object::EndpointSlice(grown))] = one.as_slice() else { panic!("{one:?}") };
    assert_eq!(grown.endpoints.len(), 51, "one pod more goes where there is room");
}

#[test]
fn pods_with_other_port_numbers_get_slices_of_their_own() {
    let pods = vec![pod(1, 8080, true, false), pod(2, 9090, true, false), pod(3, 8080, true, false)];
    let mut found: Vec<(i32, usize)> = created(&writes(&view(service(json!({})), pods, vec![])))
        .iter()
        .map(|slice| (slice.ports.as_ref().unwrap()[0].port.unwrap(), slice.endpoints.len()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(8080, 2), (9090, 1)]);
}

#[test]
fn the_last_endpoint_leaves_an_empty_slice() {
    let slices = stored(created(&writes(&view(service(json!({})), vec![pod(1, 8080, true, false)], vec![]))));
    let left = writes(&view(service(json!({})), vec![], slices));
    let [Action::Update(Object::EndpointSlice(slice))] = left.as_slice() else { panic!("{left:?}") };
    assert!(slice.endpoints.is_empty());
    assert_eq!(writes(&view(service(json!({})), vec![], vec![Arc::new(slice.as_ref().clone())])), []);
}
