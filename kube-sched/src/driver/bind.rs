//! From decision to bound pod, outside the scheduling loop.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use kube::Client;
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::framework::{Binding, PermitDecision, Profile};

/// How often a plugin that says "wait" is asked again.
const PERMIT_INTERVAL: Duration = Duration::from_millis(100);

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
        Self { error: Error::Refused { plugin, reason }, reason: "Unschedulable", message }
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

/// Runs the permit, pre-bind, bind and post-bind plugins. A plugin that panics fails the binding and nothing else.
pub(super) async fn bind(client: &Client, profile: &Profile, binding: &Binding<'_>) -> Result<(), Failure> {
    // What a plugin may have left half done is its own; everything else here is only read.
    let outcome = AssertUnwindSafe(run(client, profile, binding)).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(Error::Panicked(panic_message(&*panic)).into()))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

async fn run(client: &Client, profile: &Profile, binding: &Binding<'_>) -> Result<(), Failure> {
    permit(profile, binding).await?;
    let plugins = || profile.plugins.iter().map(|enabled| &enabled.plugin);
    for (name, plugin) in plugins().filter_map(|plugin| Some((plugin.name(), plugin.as_pre_bind()?))) {
        plugin.pre_bind(client, binding).await.map_err(|error| Failure::at("PreBind", name, error))?;
    }
    for (name, plugin) in plugins().filter_map(|plugin| Some((plugin.name(), plugin.as_bind()?))) {
        if plugin.bind(client, binding).await.map_err(|error| Failure::at("Bind", name, error))? {
            plugins().filter_map(|plugin| plugin.as_post_bind()).for_each(|plugin| plugin.post_bind(binding));
            return Ok(());
        }
    }
    let lack = format!("no plugin of profile {} binds {}", profile.scheduler_name, binding.pod.key);
    Err(Error::Config(lack).into())
}

/// Waits until every permit plugin agrees.
async fn permit(profile: &Profile, binding: &Binding<'_>) -> Result<(), Failure> {
    let start = Instant::now();
    for plugin in profile.plugins.iter().map(|enabled| &enabled.plugin) {
        let Some(permit) = plugin.as_permit() else { continue };
        let refused = |reason: String| Failure::refused(plugin.name(), reason);
        loop {
            match permit.permit(binding).map_err(|status| refused(status.message()))? {
                PermitDecision::Allow => break,
                PermitDecision::Wait(limit) if start.elapsed() >= limit => {
                    let name = binding.pod.name();
                    return Err(refused(format!("pod {name:?} rejected while waiting on permit: timeout")));
                }
                PermitDecision::Wait(_) => sleep(PERMIT_INTERVAL).await,
            }
        }
    }
    Ok(())
}
