//! What supervisors tell: ends of containers, and their own end.

use super::record::End;
use super::runtime::{EmbeddedRuntime, Inner, lost};
use crate::Result;
use crate::seam::{ContainerState, RuntimeEventKind, SandboxId};
use crate::shim::{ContainerReport, Event, Frame, Report, Request, ShimStream};

impl EmbeddedRuntime {
    /// Takes over a sandbox found on disk.
    pub(super) async fn adopt_sandbox(&self, id: &str) {
        let Ok(sandbox) = self.inner.sandbox(id) else { return };
        if !sandbox.record.ready {
            return;
        }
        if let Err(error) = self.follow(id).await {
            tracing::warn!(sandbox = id, %error, "supervisor is gone");
            self.inner.abandon(id);
        }
    }

    /// Subscribes to a sandbox's supervisor, then brings what is known up to date, so that nothing falls between the two.
    pub(super) async fn follow(&self, id: &str) -> Result<()> {
        let shim = self.inner.sandbox(id)?.shim;
        let events = shim.stream(&Request::Subscribe).await?;
        self.inner.absorb(id, &shim.report().await?);
        tokio::spawn(listen(std::sync::Arc::downgrade(&self.inner), id.to_owned(), events));
        Ok(())
    }
}

/// Passes events on until the connection ends. Holds the runtime only while it does so, so that dropping the runtime ends this too.
async fn listen(inner: std::sync::Weak<Inner>, id: String, mut events: ShimStream) {
    while let Some(frame) = events.next().await {
        let Some(inner) = inner.upgrade() else { return };
        match frame {
            Frame::Event(Event::Exited { id, exit }) => inner.end_container(&id, End::from(exit)),
            // Normally known already; not when whoever started it stopped waiting half-way.
            Frame::Event(Event::Started { .. }) => inner.refresh(&id).await,
            _ => {}
        }
    }
    let Some(inner) = inner.upgrade() else { return };
    // A sandbox that is being stopped has said so before its supervisor ends.
    if inner.sandbox(&id).is_ok_and(|sandbox| sandbox.record.ready) {
        tracing::warn!(sandbox = id, "supervisor ended");
        inner.abandon(&id);
    }
}

impl Inner {
    /// Asks a sandbox's supervisor how things are; one that is gone says so by ending its connection.
    async fn refresh(&self, id: &str) {
        let Ok(sandbox) = self.sandbox(id) else { return };
        if let Ok(report) = sandbox.shim.report().await {
            self.absorb(id, &report);
        }
    }

    /// Takes over what a supervisor reports.
    pub(super) fn absorb(&self, sandbox: &str, report: &Report) {
        for ContainerReport { id, pid, started_at, exit, .. } in &report.containers {
            let known = self.container(id).is_ok_and(|container| container.started_at.is_some());
            if !known {
                // Started, but the agent was killed before it could note so.
                let noted = self.update_container(id, |container| {
                    container.started_at = Some(*started_at);
                    container.pid = Some(*pid);
                });
                if noted.is_err() {
                    tracing::warn!(sandbox, container = id, "supervisor runs an unknown container");
                }
            }
            if let Some(exit) = exit {
                self.end_container(id, End::from(*exit));
            }
        }
    }

    /// Notes that a sandbox's supervisor is gone: what it wrote last is true, and what it left running is killed.
    pub(super) fn abandon(&self, id: &str) {
        let Ok(sandbox) = self.sandbox(id) else { return };
        if let Ok(text) = std::fs::read(self.layout.sandbox(id).join("state.json"))
            && let Ok(report) = serde_json::from_slice(&text)
        {
            self.absorb(id, &report);
        }
        self.end_all(id);
        if let Err(error) = self.update_sandbox(id, |record| record.ready = false) {
            tracing::warn!(sandbox = id, %error, "sandbox not saved");
        }
        self.publish(
            &sandbox.record.config.pod.uid,
            RuntimeEventKind::SandboxChanged(SandboxId(id.to_owned())),
        );
    }

    /// Kills what still runs in a sandbox without a supervisor and notes its end.
    pub(super) fn end_all(&self, sandbox: &str) {
        let containers: Vec<_> = self
            .state
            .lock()
            .containers
            .values()
            .filter(|container| container.sandbox == sandbox)
            .cloned()
            .collect();
        for container in containers {
            self.hierarchies.kill(&container.cgroup);
            if container.state() == ContainerState::Running {
                self.end_container(&container.id, lost(self.config.clock.now()));
            }
        }
    }
}
