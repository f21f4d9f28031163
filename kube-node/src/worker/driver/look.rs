//! What the runtime has of the pod.

use std::collections::BTreeMap;

use super::{MESSAGE_LIMIT, Worker};
use crate::{
    Result, log,
    pod::{names, observed::Observed, spec::pod_ref},
    seam::{ContainerFilter, ContainerState, ContainerStatus, SandboxFilter},
    volumes::PodDirs,
};

impl Worker {
    /// Asks the runtime what there is of this pod.
    pub(super) async fn look(&mut self) -> Result<()> {
        let uid = pod_ref(&self.pod).uid;
        let runtime = &self.context.runtime;
        let sandboxes = runtime.sandboxes(&SandboxFilter::of_pod(uid.clone())).await?;
        let labels = BTreeMap::from([(names::POD_UID.to_owned(), uid)]);
        let mut found = runtime.containers(&ContainerFilter { labels, ..ContainerFilter::default() }).await?;
        for status in found.iter_mut().filter(|c| c.state == ContainerState::Exited) {
            if !self.last_words.contains_key(&status.id) {
                let words = self.read_last_words(status).await;
                self.last_words.insert(status.id.clone(), words);
            }
            if let Some(words) = self.last_words.get(&status.id).filter(|w| !w.is_empty()) {
                status.message.clone_from(words);
            }
        }
        self.last_words.retain(|id, _| found.iter().any(|c| c.id == *id));
        self.observed = Observed::new(sandboxes, found);
        if let Some(ready) = self.observed.ready_sandbox() {
            self.memory.addresses.clone_from(&ready.ips);
        }
        Ok(())
    }

    async fn read_last_words(&self, status: &ContainerStatus) -> String {
        let dirs = PodDirs::new(&self.context.config.root_dir, &pod_ref(&self.pod).uid);
        let path = dirs.termination_log(&status.name, status.attempt);
        let policy = status.annotations.get(names::TERMINATION_MESSAGE_POLICY).cloned().unwrap_or_default();
        let log = status.log_path.clone();
        let fallback = policy == "FallbackToLogsOnError" && status.exit_code != 0;
        let work = move || log::last_words(&path, MESSAGE_LIMIT, fallback.then_some(log.as_path()));
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }
}
