//! What makes a document invalid, in upstream's words: people search for them.

use serde_json::Value;

use super::document::{
    ClientConnectionSection, Document, ExtenderSection, GROUP, LeaderElectionSection, PluginConfigSection,
    ProfileSection,
};
use super::point::Point;
use crate::Error;
use crate::complaint::{Complaints, go_duration, unqualified};
use crate::framework::Registry;

/// Plugins that earlier versions had and this one refuses.
const REMOVED: [&str; 4] = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];
/// By how much tries to get the lease may be apart, as a multiple of their period.
const JITTER: f64 = 1.2;

/// Looks for everything that is wrong, not only for the first thing.
pub(super) fn check(document: &Document, registry: &Registry) -> Complaints {
    let mut complaints = Complaints::default();
    let it = &mut complaints;
    client_connection(&document.client_connection, it);
    leader_election(&document.leader_election, it);
    let parallelism = document.parallelism;
    it.invalid_if(
        parallelism <= 0,
        "parallelism",
        parallelism,
        "should be an integer value greater than zero",
    );
    profiles(&document.profiles, registry, it);
    percentage("percentageOfNodesToScore", document.percentage_of_nodes_to_score, it);
    let (initial, longest) = (document.pod_initial_backoff_seconds, document.pod_max_backoff_seconds);
    it.invalid_if(initial <= 0, "podInitialBackoffSeconds", initial, "must be greater than 0");
    it.invalid_if(
        longest < initial,
        "podMaxBackoffSeconds",
        longest,
        "must be greater than or equal to PodInitialBackoffSeconds",
    );
    extenders(&document.extenders, it);
    complaints
}

fn client_connection(section: &ClientConnectionSection, it: &mut Complaints) {
    it.invalid_if(section.burst < 0, "clientConnection.burst", section.burst, "must be non-negative");
}

pub(super) fn leader_election(section: &LeaderElectionSection, it: &mut Complaints) {
    if !section.leader_elect {
        return;
    }
    let text = |duration| format!("{:?}", go_duration(duration));
    let (lease, renew, retry) = (section.lease_duration, section.renew_deadline, section.retry_period);
    for (field, value) in [("leaseDuration", lease), ("renewDeadline", renew), ("retryPeriod", retry)] {
        let wrong = value.is_zero() || value.is_negative();
        let field = format_args!("leaderElection.{field}");
        it.invalid_if(wrong, field, text(value), "must be greater than zero");
    }
    let reason = "must be greater than `RenewDeadline`";
    it.invalid_if(lease <= renew, "leaderElection.leaseDuration", text(renew), reason);
    for (field, value) in [
        ("resourceLock", &section.resource_lock),
        ("resourceNamespace", &section.resource_namespace),
        ("resourceName", &section.resource_name),
    ] {
        if value.is_empty() {
            it.required(format_args!("leaderElection.{field}"), "");
        }
    }
    let lock = &section.resource_lock;
    it.invalid_if(
        lock != "leases",
        "leaderElection.resourceLock",
        format_args!("{lock:?}"),
        "resourceLock value must be \"leases\"",
    );
    // This is found out later there, by the elector.
    if lease > renew && !retry.is_negative() && renew.as_secs_f64() <= retry.as_secs_f64() * JITTER {
        it.general("renewDeadline must be greater than retryPeriod*JitterFactor");
    }
}

fn percentage(field: &str, value: Option<i32>, it: &mut Complaints) {
    if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
        it.invalid(field, value, "not in valid range [0-100]");
    }
}

fn profiles(sections: &[ProfileSection], registry: &Registry, it: &mut Complaints) {
    if sections.is_empty() {
        it.required("profiles", "");
    }
    let name = |section: &ProfileSection| section.scheduler_name.clone().unwrap_or_default();
    for (index, section) in sections.iter().enumerate() {
        let path = format!("profiles[{index}]");
        profile(&path, section, registry, it);
        let namesake = |other: &ProfileSection| name(other) == name(section);
        if sections.iter().take(index).any(namesake) {
            // The first of the two is meant to stand here, but upstream prints its path as an object without fields.
            it.duplicate(format_args!("{path}.schedulerName"), "{}");
        }
    }
    if let Some((first, others)) = sections.split_first() {
        queue_sort(first, others, it);
    }
}

/// All profiles share one queue, which has one order.
fn queue_sort(first: &ProfileSection, others: &[ProfileSection], it: &mut Complaints) {
    let sort = &first.plugins.queue_sort;
    let several = sort.enabled.len();
    it.invalid_if(
        several > 1,
        "profiles[0].plugins.queueSort.Enabled",
        several,
        "only one queue sort plugin can be enabled",
    );
    let name = sort.enabled.first().map(|entry| entry.name.as_str());
    let args = |section: &'_ ProfileSection| -> Option<Value> {
        let config = section.plugin_config.iter().find(|config| Some(config.name.as_str()) == name);
        config.map(|config| config.args.clone())
    };
    for (index, section) in others.iter().enumerate().map(|(index, section)| (index + 1, section)) {
        let path = format!("profiles[{index}]");
        if section.plugins.queue_sort != *sort {
            let names: Vec<_> = section.plugins.queue_sort.enabled.iter().map(|entry| &entry.name).collect();
            let (field, value) = (format_args!("{path}.plugins.queueSort"), format_args!("{names:?}"));
            it.invalid(field, value, "must be the same for all profiles");
        }
        if let Some(own) = args(section).filter(|own| Some(own) != args(first).as_ref()) {
            let reason = "queueSort must be the same for all profiles";
            it.invalid(format_args!("{path}.pluginConfig.args"), own, reason);
        }
    }
}

fn profile(path: &str, section: &ProfileSection, registry: &Registry, it: &mut Complaints) {
    if section.scheduler_name.as_deref().unwrap_or_default().is_empty() {
        it.required(format_args!("{path}.schedulerName"), "");
    }
    percentage(&format!("{path}.percentageOfNodesToScore"), section.percentage_of_nodes_to_score, it);
    for point in Point::ALL {
        for (index, entry) in point.set(&section.plugins).enabled.iter().enumerate() {
            removed(&format!("{path}.plugins.{}.enabled[{index}]", point.field()), &entry.name, it);
        }
    }
    for (index, config) in section.plugin_config.iter().enumerate() {
        let path = format!("{path}.pluginConfig[{index}]");
        if section.plugin_config.iter().take(index).any(|other| other.name == config.name) {
            it.duplicate(&path, format_args!("{:?}", config.name));
        }
        removed(&path, &config.name, it);
        if registry.knows(&config.name) {
            arguments(&path, config, registry, it);
        }
    }
}

/// Arguments are tried even if their plugin is disabled, so that a mistake in them is found before it is enabled.
fn arguments(path: &str, config: &PluginConfigSection, registry: &Registry, it: &mut Complaints) {
    let PluginConfigSection { name, args } = config;
    let kind = args.get("kind").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| *kind != format!("{name}Args")) {
        it.general(format_args!(
            "decoding .{path}: args for plugin {name} were not of type {name}Args.{GROUP}, got {kind}.{GROUP}"
        ));
    } else if let Err(Error::PluginArgs { complaints, .. }) = registry.build(name, args) {
        it.nest(format_args!("{path}.args"), complaints);
    }
}

fn removed(path: &str, name: &str, it: &mut Complaints) {
    if REMOVED.contains(&name) {
        let version = super::document::API_VERSION;
        let reason =
            format!("was invalid in version {version:?} (KubeSchedulerConfiguration is version {version:?})");
        it.invalid(path, format_args!("{name:?}"), reason);
    }
}

fn extenders(sections: &[ExtenderSection], it: &mut Complaints) {
    let mut resources: Vec<&str> = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let path = format!("extenders[{index}]");
        it.invalid_if(
            !section.prioritize_verb.is_empty() && section.weight <= 0,
            format_args!("{path}.weight"),
            section.weight,
            "must have a positive weight applied to it",
        );
        for (number, resource) in section.managed_resources.iter().enumerate() {
            let (field, name) = (format!("{path}.managedResources[{number}].name"), &resource.name);
            let flaws = unqualified(name);
            let foreign = !flaws.is_empty() || extended(name);
            flaws.iter().for_each(|flaw| it.invalid(&field, format_args!("{name:?}"), flaw));
            let reason = "is an invalid extended resource name";
            it.invalid_if(!foreign, &field, format_args!("{name:?}"), reason);
            it.invalid_if(
                resources.contains(&name.as_str()),
                &field,
                format_args!("{name:?}"),
                "duplicate extender managed resource name",
            );
            resources.push(name);
        }
    }
    let binders = sections.iter().filter(|section| !section.bind_verb.is_empty()).count();
    it.invalid_if(
        binders > 1,
        "extenders",
        format_args!("\"found {binders} extenders implementing bind\""),
        "only one extender can implement bind",
    );
}

/// Whether a resource is neither Kubernetes' own nor a quota: `domain/name`, with a domain of somebody else's.
fn extended(name: &str) -> bool {
    let domain = name.split_once('/').map(|(domain, _)| domain);
    domain.is_some_and(|domain| !domain.is_empty() && !domain.ends_with("kubernetes.io"))
        && !name.starts_with("requests.")
}
