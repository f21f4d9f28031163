//! Asking an extender.

use std::collections::BTreeMap;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::ExtenderConfig;
use super::wire::{
    BindAnswer, BindQuestion, FilterAnswer, Filtered, HostPriority, Offer, PreemptAnswer, PreemptQuestion,
    Question, Victims, lower_case,
};
use crate::Error;
use crate::framework::Binding;

/// The best score of an extender, as opposed to that of a plugin.
const MAX_PRIORITY: i64 = 10;

/// An extender and the way to it.
#[derive(Clone)]
pub struct Extender {
    config: ExtenderConfig,
    client: Client,
}

impl std::fmt::Debug for Extender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extender").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Extender {
    /// The extender behind a client whose requests go to its URL.
    #[must_use]
    pub fn new(config: ExtenderConfig, client: Client) -> Self {
        Self { config, client }
    }

    /// Prepares a client for the extender's URL; it need not answer yet. HTTPS works in programs that turn on a TLS feature of `kube`.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL or a certificate makes no sense.
    pub async fn connect(config: ExtenderConfig) -> Result<Self, Error> {
        let wrong =
            |error: &dyn std::fmt::Display| Error::Config(format!("extender {}: {error}", config.url_prefix));
        let text = config.kubeconfig().to_string();
        let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| wrong(&error))?;
        let options = KubeConfigOptions::default();
        let loaded = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = loaded.map_err(|error| wrong(&error)).map(Client::try_from)?;
        let client = client.map_err(|error| wrong(&error))?;
        Ok(Self { config, client })
    }

    /// How it was set up.
    #[must_use]
    pub fn config(&self) -> &ExtenderConfig {
        &self.config
    }

    /// What plugins' scores are multiplied by to have the range of this extender's, times its weight.
    pub(crate) fn factor(&self) -> i64 {
        self.config.weight * (crate::framework::MAX_NODE_SCORE / MAX_PRIORITY)
    }

    /// Which of the nodes remain.
    pub(crate) async fn filter(&self, pod: &RawValue, nodes: &[Offer<'_>]) -> Result<Filtered, Error> {
        let names_suffice = self.config.node_cache_capable;
        let question = Question::new(pod, nodes, names_suffice);
        let answer: FilterAnswer = self.ask(&self.config.filter_verb, &question).await?;
        let filtered = answer.into_result(names_suffice).map_err(|reason| self.error(reason))?;
        match filtered.left.iter().find(|name| !nodes.iter().any(|node| node.name == **name)) {
            Some(name) => Err(self
                .error(format!("claims a filtered node {name:?} which is not found in the input node list"))),
            None => Ok(filtered),
        }
    }

    /// What the nodes are worth, from 0 to 10; those that are not named are worth nothing.
    pub(crate) async fn prioritize(
        &self,
        pod: &RawValue,
        nodes: &[Offer<'_>],
    ) -> Result<BTreeMap<String, i64>, Error> {
        let question = Question::new(pod, nodes, self.config.node_cache_capable);
        let answer: Vec<HostPriority> = self.ask(&self.config.prioritize_verb, &question).await?;
        Ok(answer.into_iter().map(|priority| (priority.host, priority.score)).collect())
    }

    /// The nodes on which preemption remains possible, each with the UIDs of those who have to go.
    pub(crate) async fn preempt(
        &self,
        pod: &RawValue,
        ways: &[Victims<'_>],
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let question = PreemptQuestion::new(pod, ways, self.config.node_cache_capable);
        let answer: PreemptAnswer = self.ask(&self.config.preempt_verb, &question).await?;
        let mut left = BTreeMap::new();
        for (node, victims) in answer.nodenametometavictims.unwrap_or_default() {
            let uids = victims.unwrap_or_default().into_uids();
            if !uids.is_empty() {
                left.insert(node, uids);
            } else if !self.config.ignorable {
                return Err(self.error(format!("expected at least one victim pod on node {node:?}")));
            }
        }
        Ok(left)
    }

    /// Lets the extender bind the pod.
    pub(crate) async fn bind(&self, binding: &Binding<'_>) -> Result<(), Error> {
        let question = BindQuestion {
            pod_name: binding.pod.name(),
            pod_namespace: binding.pod.namespace(),
            pod_uid: &binding.pod.uid,
            node: binding.node,
        };
        let answer: BindAnswer = self.ask(&self.config.bind_verb, &question).await?;
        match answer.error.filter(|error| !error.is_empty()) {
            Some(reason) => Err(self.error(reason)),
            None => Ok(()),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, verb: &str, question: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(question).map_err(|error| self.error(error.to_string()))?;
        let text = self.post(verb, body).await?;
        let answer = serde_json::from_str(&text).map(lower_case).and_then(serde_json::from_value);
        answer.map_err(|error| self.error(error.to_string()))
    }

    async fn post(&self, verb: &str, body: Vec<u8>) -> Result<String, Error> {
        let request = http::Request::post(format!("/{verb}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| self.error(error.to_string()))?;
        match timeout(self.config.http_timeout, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| self.error(error.to_string())),
            Err(_) => Err(self.error("no answer in time".to_owned())),
        }
    }

    fn error(&self, reason: String) -> Error {
        Error::Extender { url: self.config.url_prefix.clone(), reason }
    }
}
