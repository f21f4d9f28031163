//! The shape of a `KubeSchedulerConfiguration`, as in `kubescheduler.config.k8s.io/v1`.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::complaint::go_duration;

/// The group that is read.
pub(super) const GROUP: &str = "kubescheduler.config.k8s.io";
/// The version that is read.
pub(super) const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
/// The kind that is read.
pub(super) const KIND: &str = "KubeSchedulerConfiguration";

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) parallelism: i32,
    pub(super) leader_election: LeaderElectionSection,
    pub(super) client_connection: ClientConnectionSection,
    // Accepted, though there is nothing to turn on or off.
    enable_profiling: bool,
    enable_contention_profiling: Option<bool>,
    pub(super) percentage_of_nodes_to_score: Option<i32>,
    pub(super) pod_initial_backoff_seconds: i64,
    pub(super) pod_max_backoff_seconds: i64,
    pub(super) profiles: Vec<ProfileSection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extenders: Vec<ExtenderSection>,
    // Watches begin with the leadership in any case.
    #[serde(skip_serializing_if = "is_default")]
    delay_cache_until_active: bool,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            parallelism: 16,
            leader_election: LeaderElectionSection::default(),
            client_connection: ClientConnectionSection::default(),
            enable_profiling: true,
            enable_contention_profiling: None,
            percentage_of_nodes_to_score: None,
            pod_initial_backoff_seconds: 1,
            pod_max_backoff_seconds: 10,
            profiles: Vec::new(),
            extenders: Vec::new(),
            delay_cache_until_active: false,
        }
    }
}

impl Document {
    /// Fills in what is absent, where being empty counts as that.
    pub(super) fn set_defaults(&mut self) {
        self.leader_election.set_defaults();
        self.client_connection.set_defaults();
        self.enable_contention_profiling.get_or_insert(self.enable_profiling);
        self.percentage_of_nodes_to_score.get_or_insert(0);
        // A document without profiles has one, and a single profile needs no name.
        if self.profiles.is_empty() {
            self.profiles.push(ProfileSection::default());
        }
        if let [single] = self.profiles.as_mut_slice() {
            single.scheduler_name.get_or_insert_with(|| "default-scheduler".to_owned());
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn replace_default<T: Default + PartialEq>(value: &mut T, default: T) {
    if is_default(value) {
        *value = default;
    }
}

fn as_in_go<S: Serializer>(duration: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&go_duration(*duration))
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct LeaderElectionSection {
    pub(super) leader_elect: bool,
    #[serde(serialize_with = "as_in_go")]
    pub(super) lease_duration: SignedDuration,
    #[serde(serialize_with = "as_in_go")]
    pub(super) renew_deadline: SignedDuration,
    #[serde(serialize_with = "as_in_go")]
    pub(super) retry_period: SignedDuration,
    pub(super) resource_lock: String,
    pub(super) resource_name: String,
    pub(super) resource_namespace: String,
}

impl Default for LeaderElectionSection {
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: SignedDuration::from_secs(15),
            renew_deadline: SignedDuration::from_secs(10),
            retry_period: SignedDuration::from_secs(2),
            resource_lock: "leases".to_owned(),
            resource_name: "kube-scheduler".to_owned(),
            resource_namespace: "kube-system".to_owned(),
        }
    }
}

impl LeaderElectionSection {
    fn set_defaults(&mut self) {
        let default = Self::default();
        replace_default(&mut self.lease_duration, default.lease_duration);
        replace_default(&mut self.renew_deadline, default.renew_deadline);
        replace_default(&mut self.retry_period, default.retry_period);
        replace_default(&mut self.resource_lock, default.resource_lock);
        replace_default(&mut self.resource_name, default.resource_name);
        replace_default(&mut self.resource_namespace, default.resource_namespace);
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ClientConnectionSection {
    pub(super) kubeconfig: String,
    // The client speaks JSON, as every server does.
    accept_content_types: String,
    content_type: String,
    pub(super) qps: f32,
    pub(super) burst: i32,
}

impl Default for ClientConnectionSection {
    fn default() -> Self {
        Self {
            kubeconfig: String::new(),
            accept_content_types: String::new(),
            content_type: "application/vnd.kubernetes.protobuf".to_owned(),
            qps: 50.0,
            burst: 100,
        }
    }
}

impl ClientConnectionSection {
    fn set_defaults(&mut self) {
        let default = Self::default();
        replace_default(&mut self.content_type, default.content_type);
        replace_default(&mut self.qps, default.qps);
        replace_default(&mut self.burst, default.burst);
    }
}

#[derive(Debug, Clone, Deserialize, Serialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ProfileSection {
    pub(super) scheduler_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) percentage_of_nodes_to_score: Option<i32>,
    pub(super) plugins: PluginSets,
    pub(super) plugin_config: Vec<PluginConfigSection>,
}

/// What is enabled and disabled at each extension point.
#[derive(Debug, Clone, Deserialize, Serialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PluginSets {
    pub(super) pre_enqueue: PluginSet,
    pub(super) queue_sort: PluginSet,
    pub(super) pre_filter: PluginSet,
    pub(super) filter: PluginSet,
    pub(super) post_filter: PluginSet,
    pub(super) pre_score: PluginSet,
    pub(super) score: PluginSet,
    pub(super) reserve: PluginSet,
    pub(super) permit: PluginSet,
    pub(super) pre_bind: PluginSet,
    pub(super) bind: PluginSet,
    pub(super) post_bind: PluginSet,
    pub(super) multi_point: PluginSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PluginSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) enabled: Vec<PluginEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) disabled: Vec<PluginEntry>,
}

impl PluginSet {
    /// Whether the plugin is disabled by name or together with all others.
    pub(super) fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|entry| entry.name == name || entry.name == "*")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PluginEntry {
    pub(super) name: String,
    #[serde(default)]
    pub(super) weight: i32,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PluginConfigSection {
    pub(super) name: String,
    #[serde(default)]
    pub(super) args: Value,
}

#[derive(Debug, Clone, Deserialize, Serialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ExtenderSection {
    pub(super) url_prefix: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) filter_verb: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) preempt_verb: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) prioritize_verb: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) weight: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) bind_verb: String,
    #[serde(rename = "enableHTTPS", skip_serializing_if = "is_default")]
    pub(super) enable_https: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_config: Option<TlsSection>,
    #[serde(rename = "httpTimeout", serialize_with = "as_in_go")]
    pub(super) http_timeout: SignedDuration,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) node_cache_capable: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) managed_resources: Vec<ManagedResourceSection>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) ignorable: bool,
}

/// Fields that are empty count as absent.
#[derive(Debug, Clone, Deserialize, Serialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct TlsSection {
    #[serde(skip_serializing_if = "is_default")]
    pub(super) insecure: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) server_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) cert_file: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) key_file: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) ca_file: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) cert_data: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) key_data: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) ca_data: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ManagedResourceSection {
    pub(super) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) ignored_by_scheduler: bool,
}
