//! What a pod asks of a node: containers, init containers, sidecars, pod-level requests, overhead and resizes in progress.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Resources;
use crate::Error;

/// CPU that scoring assumes for a container that requests none, in thousandths of a core.
const DEFAULT_MILLI_CPU: i64 = 100;
/// Memory that scoring assumes for a container that requests none, in bytes.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// The effective request of a pod, as the filters count it.
///
/// Containers and sidecars add up; ordinary init containers raise the sum to their own peak; pod-level requests
/// replace the sum of the resources they name; overhead comes on top.
///
/// # Errors
/// [`Error::Quantity`] when a quantity of the pod is malformed.
pub fn effective_requests(pod: &Pod) -> Result<Resources, Error> {
    total(pod, |requests| requests)
}

/// As [`effective_requests`], with a small amount assumed for each container that names no CPU or memory.
///
/// # Errors
/// [`Error::Quantity`] when a quantity of the pod is malformed.
pub fn nonzero_requests(pod: &Pod) -> Result<Resources, Error> {
    total(pod, |mut requests| {
        if requests.base.milli_cpu == 0 {
            requests.base.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if requests.base.memory == 0 {
            requests.base.memory = DEFAULT_MEMORY;
        }
        requests
    })
}

fn total(pod: &Pod, fill: impl Fn(Resources) -> Resources) -> Result<Resources, Error> {
    let Some(spec) = &pod.spec else {
        return Ok(Resources::default());
    };
    let mut sum = containers(pod, spec, &fill)?;
    if let Some(requests) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        let level = Resources::parse(requests)?;
        for name in requests
            .keys()
            .filter(|name| *name == "cpu" || *name == "memory" || name.starts_with("hugepages-"))
        {
            *sum.slot(name) = level.get(name);
        }
    }
    if let Some(overhead) = &spec.overhead {
        sum.add(&Resources::parse(overhead)?);
    }
    Ok(sum)
}

fn containers(pod: &Pod, spec: &PodSpec, fill: &impl Fn(Resources) -> Resources) -> Result<Resources, Error> {
    let status = pod.status.as_ref();
    let running = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let running_init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let infeasible = is_resize_infeasible(pod);
    let mut sum = Resources::default();
    for container in &spec.containers {
        sum.add(&fill(container_requests(container, running, infeasible)?));
    }
    let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            let requests = fill(container_requests(container, running_init, infeasible)?);
            sum.add(&requests);
            sidecars.add(&requests);
            peak.max(&sidecars);
        } else {
            let mut requests = fill(container_requests(container, &[], false)?);
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
) -> Result<Resources, Error> {
    let desired = parse(container.resources.as_ref().and_then(|r| r.requests.as_ref()))?;
    let Some(status) = statuses.iter().find(|status| status.name == container.name) else {
        return Ok(desired);
    };
    let Some(actual) = status.resources.as_ref() else {
        return Ok(desired);
    };
    // What cannot be granted will not be used.
    let mut requests = if infeasible { Resources::default() } else { desired };
    requests.max(&parse(actual.requests.as_ref())?);
    requests.max(&parse(status.allocated_resources.as_ref())?);
    Ok(requests)
}

fn parse(list: Option<&BTreeMap<String, Quantity>>) -> Result<Resources, Error> {
    list.map_or_else(|| Ok(Resources::default()), Resources::parse)
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
    fn scoring_assumes_something_for_containers_that_ask_for_nothing() {
        let pod: Pod = serde_json::from_value(
            serde_json::json!({"metadata": {}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
        )
        .unwrap();
        let found = nonzero_requests(&pod).unwrap().base;
        assert_eq!((found.milli_cpu, found.memory), (200, 2 * DEFAULT_MEMORY));
        assert!(effective_requests(&pod).unwrap().is_empty());
    }
}
