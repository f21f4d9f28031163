//! Requests and limits: quality of service, cgroup values, and whether a pod fits.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{quantity, spec};
use crate::seam::Resources;

type Amounts = BTreeMap<String, Quantity>;

/// `status.qosClass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

fn amount<'a>(list: Option<&'a Amounts>, name: &str) -> Option<&'a Quantity> {
    list.and_then(|l| l.get(name))
}

fn limits(r: &ResourceRequirements) -> Option<&Amounts> {
    r.limits.as_ref()
}

fn requests(r: &ResourceRequirements) -> Option<&Amounts> {
    r.requests.as_ref()
}

/// The class that the containers' requests and limits make.
pub(crate) fn qos_class(pod: &Pod) -> Qos {
    let Some(spec) = &pod.spec else { return Qos::BestEffort };
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let (mut any, mut guaranteed) = (false, true);
    for container in all {
        let resources = container.resources.clone().unwrap_or_default();
        for name in ["cpu", "memory"] {
            let limit = amount(limits(&resources), name).map_or(0, quantity::millis);
            let request = amount(requests(&resources), name).map_or(limit, quantity::millis);
            any |= limit > 0 || request > 0;
            guaranteed &= limit > 0 && limit == request;
        }
    }
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// The pod's cgroup below the cgroup root.
pub(crate) fn cgroup_parent(pod: &Pod) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    match qos_class(pod) {
        Qos::Guaranteed => format!("/kubepods/pod{uid}"),
        Qos::Burstable => format!("/kubepods/burstable/pod{uid}"),
        Qos::BestEffort => format!("/kubepods/besteffort/pod{uid}"),
    }
}

/// cgroup weight of so many thousandths of a CPU.
pub(crate) fn shares(cpu_millis: i64) -> u64 {
    u64::try_from(cpu_millis * 1024 / 1000).unwrap_or(0).clamp(2, 262_144)
}

/// Microseconds per period of 100 ms.
fn quota(cpu_millis: i64) -> i64 {
    (cpu_millis * 100).max(1000)
}

/// What a container's cgroup gets; `memory_capacity` is the machine's, in bytes.
pub(crate) fn container_resources(pod: &Pod, container: &Container, memory_capacity: i64) -> Resources {
    let resources = container.resources.clone().unwrap_or_default();
    let cpu_limit = amount(limits(&resources), "cpu").map(quantity::millis).filter(|v| *v > 0);
    let cpu_request = amount(requests(&resources), "cpu").map(quantity::millis).or(cpu_limit).unwrap_or(0);
    let memory_limit = amount(limits(&resources), "memory").map(quantity::value).filter(|v| *v > 0);
    let memory_request = amount(requests(&resources), "memory").map(quantity::value).unwrap_or(0);
    let huge = limits(&resources).into_iter().flatten();
    let huge = huge.filter_map(|(k, v)| {
        Some((k.strip_prefix("hugepages-")?.to_owned(), u64::try_from(quantity::value(v)).ok()?))
    });
    Resources {
        cpu_shares: Some(shares(cpu_request)),
        cpu_quota: cpu_limit.map(quota),
        cpu_period: cpu_limit.map(|_| 100_000),
        memory_limit,
        oom_score_adj: Some(oom_score_adj(pod, memory_request, memory_capacity)),
        hugepage_limits: huge.collect(),
        ..Resources::default()
    }
}

fn oom_score_adj(pod: &Pod, memory_request: i64, capacity: i64) -> i32 {
    match qos_class(pod) {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let share = i128::from(memory_request) * 1000 / i128::from(capacity.max(1));
            i32::try_from(1000 - share).unwrap_or(3).clamp(3, 999)
        }
    }
}

/// What the pod's own cgroup gets: limits only where every container has one.
pub(crate) fn pod_resources(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let limit = |name: &str, read: fn(&Quantity) -> i64| -> Option<i64> {
        spec.containers.iter().map(|c| amount(c.resources.as_ref()?.limits.as_ref(), name).map(read)).sum()
    };
    let cpu = limit("cpu", quantity::millis).filter(|v| *v > 0);
    Resources {
        cpu_shares: Some(shares(request(pod, "cpu", quantity::millis))),
        cpu_quota: cpu.map(quota),
        cpu_period: cpu.map(|_| 100_000),
        memory_limit: limit("memory", quantity::value).filter(|v| *v > 0),
        ..Resources::default()
    }
}

/// What the pod asks for of a resource: the sum of its containers and sidecars, or more when an init container needs more, plus overhead.
pub(crate) fn request(pod: &Pod, name: &str, read: fn(&Quantity) -> i64) -> i64 {
    let of = |c: &Container| {
        let resources = c.resources.clone().unwrap_or_default();
        amount(requests(&resources), name).or(amount(limits(&resources), name)).map_or(0, read)
    };
    let (mut sidecars, mut peak, mut apps) = (0, 0, 0);
    for container in spec::containers(pod) {
        let wanted = of(&container.spec);
        match container.kind {
            spec::Kind::Init => peak = peak.max(sidecars + wanted),
            spec::Kind::Sidecar => {
                sidecars += wanted;
                peak = peak.max(sidecars);
            }
            spec::Kind::App => apps += wanted,
            spec::Kind::Ephemeral => {}
        }
    }
    let overhead =
        pod.spec.as_ref().and_then(|s| s.overhead.as_ref()).and_then(|o| o.get(name)).map_or(0, read);
    peak.max(sidecars + apps) + overhead
}
