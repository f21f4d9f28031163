//! How an extender is reached and what it is asked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::pod::PodInfo;

/// An extender, as `extenders[]` of a `KubeSchedulerConfiguration` describes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtenderConfig {
    /// Where it is; the verbs are appended after a slash.
    pub url_prefix: String,
    /// The verb that removes nodes; empty if it removes none.
    pub filter_verb: String,
    /// The verb that scores nodes; empty if it scores none.
    pub prioritize_verb: String,
    /// The verb that judges preemptions; empty if it accepts all.
    pub preempt_verb: String,
    /// The verb that binds pods; empty if the scheduler binds them.
    pub bind_verb: String,
    /// The weight of its scores, which are from 0 to 10; unit: factor. Default 1.
    pub weight: i64,
    /// How long an answer may take. Default 5 s.
    pub http_timeout: Duration,
    /// Whether it knows the nodes and needs no more than their names. Default false.
    pub node_cache_capable: bool,
    /// Only pods that ask for one of these resources are of interest to it; all pods if there are none. Default: none.
    pub managed_resources: BTreeSet<String>,
    /// Whether pods are scheduled without it when it fails. Default false.
    pub ignorable: bool,
    /// How it is trusted over TLS, and how it trusts us; `None` trusts whoever answers. Default: none.
    pub tls: Option<ExtenderTls>,
}

/// TLS towards an extender; data counts before files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtenderTls {
    /// Whether to accept any certificate. Default false.
    pub insecure: bool,
    /// The name that its certificate must have, if not the one in the URL.
    pub server_name: Option<String>,
    /// The certificate that we show, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
    /// Whose certificates are trusted, PEM.
    pub ca_file: Option<PathBuf>,
    /// As `cert_file`, in base64.
    pub cert_data: Option<String>,
    /// As `key_file`, in base64.
    pub key_data: Option<String>,
    /// As `ca_file`, in base64.
    pub ca_data: Option<String>,
}

impl Default for ExtenderConfig {
    fn default() -> Self {
        Self {
            url_prefix: String::new(),
            filter_verb: String::new(),
            prioritize_verb: String::new(),
            preempt_verb: String::new(),
            bind_verb: String::new(),
            weight: 1,
            http_timeout: Duration::from_secs(5),
            node_cache_capable: false,
            managed_resources: BTreeSet::new(),
            ignorable: false,
            tls: None,
        }
    }
}

impl ExtenderConfig {
    /// Whether the extender has a say in where the pod goes.
    #[must_use]
    pub fn is_interested_in(&self, pod: &PodInfo) -> bool {
        if self.managed_resources.is_empty() {
            return true;
        }
        let spec = pod.spec().into_iter();
        let containers =
            spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let resources = containers.filter_map(|container| container.resources.as_ref());
        let mut lists = resources.flat_map(|resources| resources.requests.iter().chain(&resources.limits));
        lists.any(|list| list.keys().any(|name| self.managed_resources.contains(name)))
    }

    /// The same as a kubeconfig, which is what the client reads. Without a certificate to trust anybody is trusted, as upstream
    /// has it.
    pub(super) fn kubeconfig(&self) -> Value {
        let tls = self.tls.clone().unwrap_or_default();
        let trusts_somebody = tls.ca_file.is_some() || tls.ca_data.is_some();
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "us"}}],
            "clusters": [{"name": "it", "cluster": {
                "server": self.url_prefix,
                "insecure-skip-tls-verify": tls.insecure || !trusts_somebody,
                "tls-server-name": tls.server_name,
                "certificate-authority": tls.ca_file,
                "certificate-authority-data": tls.ca_data,
            }}],
            "users": [{"name": "us", "user": {
                "client-certificate": tls.cert_file,
                "client-certificate-data": tls.cert_data,
                "client-key": tls.key_file,
                "client-key-data": tls.key_data,
            }}],
        })
    }
}
