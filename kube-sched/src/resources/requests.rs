//! What a pod asks of a node: containers, init containers, sidecars, pod-level requests, overhead and resizes in progress.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};

use super::Resources;
use crate::Error;

/// CPU that scoring assumes for a container that requests none, in thousandths of a core.
const DEFAULT_MILLI_CPU: i64 = 100;
/// Memory that scoring assumes for a container that requests none, in bytes.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

const CPU: (&str, i64) = ("cpu", DEFAULT_MILLI_CPU);
const MEMORY: (&str, i64) = ("memory", DEFAULT_MEMORY);

/// What is assumed for a container that does not name a resource, by resource.
type Assumed = &'static [(&'static str, i64)];

/// The effective request of a pod, as the filters count it.
///
/// Containers and sidecars add up; ordinary init containers raise the sum to their own peak; pod-level requests
/// replace the sum of the resources they name; overhead comes on top.
///
/// # Errors
/// [`Error::Quantity`] when a quantity of the pod is malformed.
pub fn effective_requests(pod: &Pod) -> Result<Resources, Error> {
    total(pod, &[])
}

/// As [`effective_requests`], with a small amount assumed for each container that names no CPU or memory. One that names zero means
/// it, and in a pod with requests of its own nothing is assumed of what is named there or by any container.
///
/// # Errors
/// [`Error::Quantity`] when a quantity of the pod is malformed.
pub fn nonzero_requests(pod: &Pod) -> Result<Resources, Error> {
    let Some(spec) = &pod.spec else {
        return Ok(Resources::default());
    };
    let own = pod_level(spec).next().is_some();
    match (own && names(pod, spec, "cpu"), own && names(pod, spec, "memory")) {
        (false, false) => total(pod, &[CPU, MEMORY]),
        (false, true) => total(pod, &[CPU]),
        (true, false) => total(pod, &[MEMORY]),
        (true, true) => total(pod, &[]),
    }
}

/// As [`nonzero_requests`], but of the containers and the overhead alone, whatever the pod requests as a whole.
pub(crate) fn nonzero_requests_of_containers(pod: &Pod) -> Result<Resources, Error> {
    let Some(spec) = &pod.spec else {
        return Ok(Resources::default());
    };
    let mut sum = containers(pod, spec, &[CPU, MEMORY])?;
    if let Some(overhead) = &spec.overhead {
        sum.add(&Resources::parse(overhead)?);
    }
    Ok(sum)
}

/// The resources that the pod requests as a whole.
fn pod_level(spec: &PodSpec) -> impl Iterator<Item = &str> {
    let requests = spec.resources.iter().flat_map(|resources| resources.requests.iter().flatten());
    let names = requests.map(|(name, _)| name.as_str());
    names.filter(|name| matches!(*name, "cpu" | "memory") || name.starts_with("hugepages-"))
}

/// Whether the pod, its overhead or a container names a resource.
fn names(pod: &Pod, spec: &PodSpec, resource: &str) -> bool {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut requests = containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    let status = pod.status.as_ref();
    let mut statuses = status.iter().flat_map(|status| {
        [&status.container_statuses, &status.init_container_statuses].into_iter().flatten().flatten()
    });
    let in_effect = |status: &ContainerStatus| {
        let resources = status.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        resources.is_some_and(|requests| requests.contains_key(resource))
    };
    pod_level(spec).any(|name| name == resource)
        || spec.overhead.as_ref().is_some_and(|overhead| overhead.contains_key(resource))
        || requests.any(|requests| requests.contains_key(resource))
        || statuses.any(in_effect)
}

fn total(pod: &Pod, assumed: Assumed) -> Result<Resources, Error> {
    let Some(spec) = &pod.spec else {
        return Ok(Resources::default());
    };
    let mut sum = containers(pod, spec, assumed)?;
    if let Some(requests) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        let level = Resources::parse(requests)?;
        for name in pod_level(spec) {
            *sum.slot(name) = level.get(name);
        }
    }
    if let Some(overhead) = &spec.overhead {
        sum.add(&Resources::parse(overhead)?);
    }
    Ok(sum)
}

fn containers(pod: &Pod, spec: &PodSpec, assumed: Assumed) -> Result<Resources, Error> {
    let status = pod.status.as_ref();
    let running = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let running_init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let infeasible = is_resize_infeasible(pod);
    let mut sum = Resources::default();
    for container in &spec.containers {
        sum.add(&container_requests(container, running, infeasible, assumed)?);
    }
    let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            let requests = container_requests(container, running_init, infeasible, assumed)?;
            sum.add(&requests);
            sidecars.add(&requests);
            peak.max(&sidecars);
        } else {
            let mut requests = container_requests(container, &[], false, assumed)?;
            requests.add(&sidecars);
            peak.max(&requests);
        }
    }
    sum.max(&peak);
    Ok(sum)
}

/// Whether the node has said that it can never grant the resize that the pod's specification asks for.
fn is_resize_infeasible(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| {
        condition.type_ == "PodResizePending" && condition.reason.as_deref() == Some("Infeasible")
    })
}

/// The request of a container: while a resize is under way, the larger of what is desired, allocated and in effect.
fn container_requests(
    container: &Container,
    statuses: &[ContainerStatus],
    infeasible: bool,
    assumed: Assumed,
) -> Result<Resources, Error> {
    let desired = container.resources.as_ref().and_then(|r| r.requests.as_ref());
    let status = statuses.iter().find(|status| status.name == container.name);
    let resizing = status.and_then(|status| Some((status, status.resources.as_ref()?)));
    let lists = match resizing {
        // What cannot be granted will not be used.
        Some((status, actual)) => {
            [desired.filter(|_| !infeasible), actual.requests.as_ref(), status.allocated_resources.as_ref()]
        }
        None => [desired, None, None],
    };
    let mut requests = Resources::default();
    for list in lists.into_iter().flatten() {
        requests.max(&Resources::parse(list)?);
    }
    for (name, amount) in assumed {
        if !lists.iter().flatten().any(|list| list.contains_key(*name)) {
            *requests.slot(name) = *amount;
        }
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(spec: serde_json::Value) -> Resources {
        let pod: Pod =
            serde_json::from_value(serde_json::json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        effective_requests(&pod).unwrap()
    }

    fn container(cpu: &str, memory: &str) -> serde_json::Value {
        serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}})
    }

    fn check(spec: serde_json::Value, milli_cpu: i64, memory: i64) {
        let found = requests(spec.clone()).base;
        assert_eq!((found.milli_cpu, found.memory), (milli_cpu, memory), "{spec}");
    }

    #[test]
    fn containers_add_up_and_init_containers_raise_the_sum() {
        let sidecar = |cpu: &str| serde_json::json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        check(serde_json::json!({"containers": [container("1", "10"), container("500m", "5")]}), 1500, 15);
        check(
            serde_json::json!({"containers": [container("1", "10")], "initContainers": [container("2", "5"), container("3", "1")]}),
            3000,
            10,
        );
        check(
            serde_json::json!({"containers": [container("1", "10")], "initContainers": [sidecar("1"), container("3", "1")]}),
            4000,
            10,
        );
        check(
            serde_json::json!({"containers": [container("1", "10")], "initContainers": [container("1", "1"), sidecar("1")]}),
            2000,
            10,
        );
        check(
            serde_json::json!({"containers": [container("1", "10")], "overhead": {"cpu": "250m"}}),
            1250,
            10,
        );
        check(
            serde_json::json!({"containers": [container("1", "10")], "resources": {"requests": {"cpu": "4"}}}),
            4000,
            10,
        );
    }

    #[test]
    fn a_resize_counts_until_it_is_known_to_be_infeasible() {
        let resizing = |reason: &str| -> Pod {
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": {"containers": [container("4", "1")]}, "status": {
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
                "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "resources": {"requests": {"cpu": "1"}}, "allocatedResources": {"cpu": "2"}}]}}))
            .unwrap()
        };
        assert_eq!(effective_requests(&resizing("Deferred")).unwrap().base.milli_cpu, 4000);
        assert_eq!(effective_requests(&resizing("Infeasible")).unwrap().base.milli_cpu, 2000);
    }

    #[test]
    fn requests_of_the_pod_as_a_whole_replace_the_sum_of_what_they_name() {
        let level = |requests: serde_json::Value| {
            serde_json::json!({"containers": [container("1", "10"), container("1", "10")], "resources": {"requests": requests},
                "overhead": {"cpu": "250m", "memory": "1"}})
        };
        check(level(serde_json::json!({"cpu": "1", "memory": "5"})), 1250, 6);
        check(level(serde_json::json!({"memory": "50"})), 2250, 51);
        let pages = requests(level(serde_json::json!({"hugepages-2Mi": "4Mi", "example.com/gpu": "1"})));
        assert_eq!(pages.get("hugepages-2Mi"), 4 << 20);
        assert_eq!(pages.get("example.com/gpu"), 0, "only some resources can be shared by a pod");
    }

    #[test]
    fn sidecars_are_resized_like_containers_and_init_containers_not_at_all() {
        let status = |name: &str| {
            serde_json::json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "resources": {"requests": {"cpu": "5"}}})
        };
        let resources = serde_json::json!({"requests": {"cpu": "1"}});
        let pod = |restart: &str| -> Pod {
            let init = serde_json::json!({"name": "i", "resources": resources, "restartPolicy": restart});
            serde_json::from_value(serde_json::json!({"metadata": {},
                "spec": {"containers": [{"name": "c", "resources": resources}], "initContainers": [init]},
                "status": {"initContainerStatuses": [status("i")], "containerStatuses": [status("other")]}}))
            .unwrap()
        };
        assert_eq!(effective_requests(&pod("Always")).unwrap().base.milli_cpu, 6000);
        assert_eq!(effective_requests(&pod("Never")).unwrap().base.milli_cpu, 1000);
    }

    #[test]
    fn scoring_assumes_something_for_containers_that_name_nothing() {
        let check = |spec: serde_json::Value, milli_cpu: i64, memory: i64| {
            let pod: Pod = serde_json::from_value(serde_json::json!({"metadata": {}, "spec": spec})).unwrap();
            let found = nonzero_requests(&pod).unwrap().base;
            assert_eq!((found.milli_cpu, found.memory), (milli_cpu, memory), "{spec}");
        };
        let idle = || serde_json::json!([{"name": "a"}, {"name": "b"}]);
        check(serde_json::json!({"containers": idle()}), 200, 2 * DEFAULT_MEMORY);
        check(serde_json::json!({"containers": [container("0", "0")]}), 0, 0);
        let half = serde_json::json!([container("1", "0"), {"name": "b"}]);
        check(serde_json::json!({"containers": half}), 1100, DEFAULT_MEMORY);
        let level = |requests: serde_json::Value| serde_json::json!({"requests": requests});
        let cpu_only = level(serde_json::json!({"cpu": "3"}));
        check(serde_json::json!({"containers": idle(), "resources": cpu_only}), 3000, 2 * DEFAULT_MEMORY);
        check(serde_json::json!({"containers": half, "resources": cpu_only}), 3000, 0);
        let none: Pod =
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": {"containers": idle()}}))
                .unwrap();
        assert!(effective_requests(&none).unwrap().is_empty());
    }
}
