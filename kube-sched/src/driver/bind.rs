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

/// Runs the permit, pre-bind, bind and post-bind plugins. A plugin that panics fails the binding and nothing else.
pub(super) async fn bind(client: &Client, profile: &Profile, binding: &Binding<'_>) -> Result<(), Error> {
    // What a plugin may have left half done is its own; everything else here is only read.
    let outcome = AssertUnwindSafe(run(client, profile, binding)).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(Error::Panicked(panic_message(&*panic))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

async fn run(client: &Client, profile: &Profile, binding: &Binding<'_>) -> Result<(), Error> {
    permit(profile, binding).await?;
    let plugins = || profile.plugins.iter().map(|enabled| &enabled.plugin);
    for plugin in plugins().filter_map(|plugin| plugin.as_pre_bind()) {
        plugin.pre_bind(client, binding).await?;
    }
    for plugin in plugins().filter_map(|plugin| plugin.as_bind()) {
        if plugin.bind(client, binding).await? {
            plugins().filter_map(|plugin| plugin.as_post_bind()).for_each(|plugin| plugin.post_bind(binding));
            return Ok(());
        }
    }
    Err(Error::Config(format!("no plugin of profile {} binds {}", profile.scheduler_name, binding.pod.key)))
}

/// Waits until every permit plugin agrees.
async fn permit(profile: &Profile, binding: &Binding<'_>) -> Result<(), Error> {
    let start = Instant::now();
    for plugin in profile.plugins.iter().map(|enabled| &enabled.plugin) {
        let Some(permit) = plugin.as_permit() else { continue };
        loop {
            let refused = |reason: String| Error::Refused { plugin: plugin.name(), reason };
            match permit.permit(binding).map_err(|status| refused(status.message()))? {
                PermitDecision::Allow => break,
                PermitDecision::Wait(limit) if start.elapsed() >= limit => {
                    return Err(refused(format!(
                        "pod {:?} rejected while waiting on permit: timeout",
                        binding.pod.name()
                    )));
                }
                PermitDecision::Wait(_) => sleep(PERMIT_INTERVAL).await,
            }
        }
    }
    Ok(())
}
