//! What makes a document invalid, in upstream's words: people search for them.

use std::fmt::Display;

use jiff::SignedDuration;

use super::document::{
    ClientConnectionSection, Document, ExtenderSection, LeaderElectionSection, ProfileSection,
};
use super::point::Point;
use crate::framework::Registry;

/// Plugins that earlier versions had and this one refuses.
const REMOVED: [&str; 4] = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];

/// All that is wrong with a document.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<String>);

impl Complaints {
    /// `field: Invalid value: value: reason`
    fn invalid(&mut self, field: impl Display, value: impl Display, reason: impl Display) {
        self.0.push(format!("{field}: Invalid value: {value}: {reason}"));
    }

    fn invalid_if(&mut self, wrong: bool, field: &str, value: impl Display, reason: &str) {
        if wrong {
            self.invalid(field, value, reason);
        }
    }

    fn required(&mut self, field: impl Display) {
        self.0.push(format!("{field}: Required value"));
    }

    fn duplicate(&mut self, field: impl Display, value: impl Display) {
        self.0.push(format!("{field}: Duplicate value: {value}"));
    }

    /// One complaint as it is, several in brackets.
    pub(super) fn into_text(self) -> Option<String> {
        match self.0.as_slice() {
            [] => None,
            [single] => Some(single.clone()),
            several => Some(format!("[{}]", several.join(", "))),
        }
    }
}

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

fn leader_election(section: &LeaderElectionSection, it: &mut Complaints) {
    if !section.leader_elect {
        return;
    }
    let (lease, renew, retry) = (section.lease_duration, section.renew_deadline, section.retry_period);
    for (field, value) in [("leaseDuration", lease), ("renewDeadline", renew), ("retryPeriod", retry)] {
        let text = text(value);
        it.invalid_if(
            value.is_zero() || value.is_negative(),
            &format!("leaderElection.{field}"),
            text,
            "must be greater than zero",
        );
    }
    let (first, second) = ("leaderElection.leaseDuration", "leaderElection.renewDeadline");
    it.invalid_if(lease < renew, first, text(renew), "LeaseDuration must be greater than RenewDeadline");
    it.invalid_if(renew < retry, second, text(retry), "RenewDeadline must be greater than RetryPeriod");
    let lock = &section.resource_lock;
    it.invalid_if(
        lock != "leases",
        "leaderElection.resourceLock",
        format!("{lock:?}"),
        "resourceLock value must be \"leases\"",
    );
    for (field, value) in
        [("resourceNamespace", &section.resource_namespace), ("resourceName", &section.resource_name)]
    {
        it.invalid_if(
            value.is_empty(),
            &format!("leaderElection.{field}"),
            "\"\"",
            &format!("{field} is required"),
        );
    }
}

fn text(duration: SignedDuration) -> String {
    format!("{}s", duration.as_secs_f64())
}

fn percentage(field: &str, value: Option<i32>, it: &mut Complaints) {
    if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
        it.invalid(field, value, "not in valid range [0-100]");
    }
}

fn profiles(sections: &[ProfileSection], registry: &Registry, it: &mut Complaints) {
    if sections.is_empty() {
        it.required("profiles");
    }
    let name = |section: &ProfileSection| section.scheduler_name.clone().unwrap_or_default();
    for (index, section) in sections.iter().enumerate() {
        let path = format!("profiles[{index}]");
        profile(&path, section, registry, it);
        let namesake = |other: &ProfileSection| name(other) == name(section);
        if let Some(before) = sections.iter().take(index).rposition(namesake) {
            it.duplicate(
                format_args!("{path}.schedulerName"),
                format_args!("profiles[{before}].schedulerName"),
            );
        }
    }
    let sort = sections.first().map(|first| &first.plugins.queue_sort);
    if let Some(several) = sort.map(|set| set.enabled.len()).filter(|count| *count > 1) {
        it.invalid(
            "profiles[0].plugins.queueSort.Enabled",
            several,
            "only one queue sort plugin can be enabled",
        );
    }
    for (index, section) in sections.iter().enumerate().skip(1) {
        if Some(&section.plugins.queue_sort) != sort {
            let names: Vec<_> = section.plugins.queue_sort.enabled.iter().map(|entry| &entry.name).collect();
            it.invalid(
                format_args!("profiles[{index}].plugins.queueSort"),
                format_args!("{names:?}"),
                "must be the same for all profiles",
            );
        }
    }
}

fn profile(path: &str, section: &ProfileSection, registry: &Registry, it: &mut Complaints) {
    if section.scheduler_name.as_deref().unwrap_or_default().is_empty() {
        it.required(format_args!("{path}.schedulerName"));
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
        let kind = config.args.get("kind").and_then(|kind| kind.as_str());
        if kind.is_some_and(|kind| registry.knows(&config.name) && kind != format!("{}Args", config.name)) {
            it.invalid(format_args!("{path}.args"), &config.args, "has to match plugin args");
        }
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
            &format!("{path}.weight"),
            section.weight,
            "must have a positive weight applied to it",
        );
        for (number, resource) in section.managed_resources.iter().enumerate() {
            let (field, name) = (format!("{path}.managedResources[{number}].name"), &resource.name);
            it.invalid_if(
                !extended(name),
                &field,
                format_args!("{name:?}"),
                "is an invalid extended resource name",
            );
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
