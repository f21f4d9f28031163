//! From decision to bound pod, outside the scheduling loop.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use kube::Client;
use tokio::time::Instant;

use super::run::UNSCHEDULABLE;
use super::waiting::Waiter;
use crate::Error;
use crate::extender::Extender;
use crate::framework::{Binding, Profile};
use crate::metrics::{Call, ERROR, Metrics, SUCCESS};
use crate::plugins::DefaultBinder;

/// Why a pod was not bound, for the scheduler and for the pod's condition.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Failure {
    /// What went wrong at an extension point, in upstream's words.
    fn at(point: &str, plugin: &str, error: Error) -> Self {
        let message = format!("running {point} plugin {plugin:?}: {}", text(&error));
        Self { error, reason: "SchedulerError", message }
    }

    /// A plugin's no is no error.
    fn refused(plugin: &'static str, reason: String) -> Self {
        let message = reason.clone();
        Self { error: Error::Refused { plugin, reason }, reason: UNSCHEDULABLE, message }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { reason: "SchedulerError", message: text(&error), error }
    }
}

/// The server's own message if there is one, or else the error with its causes.
fn text(error: &Error) -> String {
    if let Error::Api(source) = error
        && let kube::Error::Api(status) = &**source
    {
        return status.message.clone();
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a binding needs besides the pod and its node.
pub(super) struct Binder<'a> {
    pub(super) client: &'a Client,
    pub(super) profile: &'a Profile,
    pub(super) metrics: &'a Metrics,
    pub(super) extenders: &'a [Extender],
}

impl Binder<'_> {
    /// Waits for permission, then runs the pre-bind, bind and post-bind plugins. A plugin that panics fails the binding and
    /// nothing else.
    pub(super) async fn bind(&self, binding: &Binding<'_>, waiter: Option<Waiter>) -> Result<(), Failure> {
        // What a plugin may have left half done is its own; everything else here is only read.
        let outcome = AssertUnwindSafe(self.run(binding, waiter)).catch_unwind().await;
        outcome.unwrap_or_else(|panic| Err(Error::Panicked(panic_message(&*panic)).into()))
    }

    async fn run(&self, binding: &Binding<'_>, waiter: Option<Waiter>) -> Result<(), Failure> {
        if let Some(waiter) = waiter {
            self.permitted(waiter).await?;
        }
        let prepared = self.prepare(binding);
        self.timed("PreBind", prepared).await?;
        let bound = self.hand_over(binding);
        self.timed("Bind", bound).await?;
        let notified = async {
            let plugins = self.profile.plugins.iter().map(|enabled| &enabled.plugin);
            plugins.filter_map(|plugin| plugin.as_post_bind()).for_each(|plugin| plugin.post_bind(binding));
            Ok(())
        };
        self.timed("PostBind", notified).await
    }

    async fn permitted(&self, waiter: Waiter) -> Result<(), Failure> {
        let start = Instant::now();
        let permitted = waiter.wait().await;
        self.metrics.permitted(permitted.is_ok(), start.elapsed());
        permitted.map_err(|rejection| Failure::refused(rejection.plugin, rejection.reason))
    }

    async fn prepare(&self, binding: &Binding<'_>) -> Result<(), Failure> {
        for plugin in self.profile.plugins.iter().map(|enabled| &enabled.plugin) {
            let Some(pre_bind) = plugin.as_pre_bind() else { continue };
            let start = Instant::now();
            let prepared = pre_bind.pre_bind(self.client, binding).await;
            self.metrics.plugin(plugin.name(), "PreBind", status(&prepared), start.elapsed());
            prepared.map_err(|error| Failure::at("PreBind", plugin.name(), error))?;
        }
        Ok(())
    }

    /// Lets an extender bind the pod, if one wants to. One that fails and may be ignored leaves it to others.
    async fn hand_to_extender(&self, binding: &Binding<'_>) -> Result<bool, Failure> {
        for extender in self.extenders {
            let config = extender.config();
            if config.bind_verb.is_empty() || !config.is_interested_in(binding.pod) {
                continue;
            }
            match extender.bind(binding).await {
                Ok(()) => return Ok(true),
                Err(error) if config.ignorable => tracing::info!(%error, "binding without an extender"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// The first plugin that takes the pod binds it, unless an extender does.
    async fn hand_over(&self, binding: &Binding<'_>) -> Result<(), Failure> {
        if self.hand_to_extender(binding).await? {
            return Ok(());
        }
        for plugin in self.profile.plugins.iter().map(|enabled| &enabled.plugin) {
            let Some(bind) = plugin.as_bind() else { continue };
            let start = Instant::now();
            let bound = bind.bind(self.client, binding).await;
            self.metrics.plugin(plugin.name(), "Bind", status(&bound), start.elapsed());
            if plugin.name() == DefaultBinder::NAME {
                self.metrics.called(Call::Binding, bound.is_ok(), start.elapsed());
            }
            if bound.map_err(|error| Failure::at("Bind", plugin.name(), error))? {
                return Ok(());
            }
        }
        let lack = format!("no plugin of profile {} binds {}", self.profile.scheduler_name, binding.pod.key);
        Err(Error::Config(lack).into())
    }

    async fn timed(
        &self,
        point: &'static str,
        work: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let outcome = work.await;
        self.metrics.point(point, status(&outcome), &self.profile.scheduler_name, start.elapsed());
        outcome
    }
}

fn status<T, E>(outcome: &Result<T, E>) -> &'static str {
    if outcome.is_ok() { SUCCESS } else { ERROR }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
