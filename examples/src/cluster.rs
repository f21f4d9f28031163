//! The whole cluster in one process: each role as the crate has it, in the order in which they need each other.

mod control_plane;
mod demo_app;
mod dns;
mod flags;
mod identities;
mod node;
mod objects;
mod store;
mod summary;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::progress::Progress;
pub use flags::{Flags, Runtime, Store};

/// The parts that run, and how to end them.
struct Parts {
    tasks: JoinSet<Result<(), Failure>>,
    shutdown: CancellationToken,
}

impl Parts {
    /// Runs a part until the shutdown. One that fails ends the cluster, with `name` in the reason.
    fn spawn<E: Into<Failure>>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            part.await.map_err(|error| format!("{name}: {}", chain(&*error.into())).into())
        });
    }

    /// Waits for the shutdown, or for the first part that fails.
    async fn run(&mut self) -> Result<(), Failure> {
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                ended = self.tasks.join_next() => match ended {
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => return Err(error),
                    Some(Err(panic)) => return Err(panic.into()),
                    None => return Ok(()),
                },
            }
        }
    }

    /// Ends every part and waits for each.
    async fn stop(mut self) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Starts a cluster, shows what it does, and runs it until `shutdown`.
///
/// # Errors
/// If a part can't start, the demo does not answer, or a part fails later.
pub async fn run(flags: Flags, shutdown: CancellationToken) -> Result<(), Failure> {
    if flags.clean {
        return node::clean(&flags).await;
    }
    if flags.certificates_only {
        return identities::write_all(&flags);
    }
    let mut progress = Progress::new();
    progress.say(&summary::greeting(&flags));
    let mut parts = Parts { tasks: JoinSet::new(), shutdown: shutdown.child_token() };
    let started = tokio::select! {
        started = start(&flags, &mut parts, &mut progress) => started,
        failed = parts_failed(&shutdown) => failed,
    };
    let ended = match started {
        Ok(()) => parts.run().await,
        Err(error) => Err(error),
    };
    if ended.is_ok() {
        progress.say(&format!("stopping{}", summary::what_stays(&flags)));
    }
    parts.stop().await;
    ended
}

/// Ends a start that is interrupted.
async fn parts_failed(shutdown: &CancellationToken) -> Result<(), Failure> {
    shutdown.cancelled().await;
    Err("interrupted while starting".into())
}

async fn start(flags: &Flags, parts: &mut Parts, progress: &mut Progress) -> Result<(), Failure> {
    let store = store::open(flags, parts, progress).await?;
    let control_plane = control_plane::start(flags, store, parts, progress).await?;
    node::start(flags, &control_plane, parts, progress).await?;
    let admin = control_plane.client("kubernetes-admin", &["system:masters"]);
    if !flags.no_demo {
        demo(flags, &admin, progress).await?;
    }
    progress.say(&summary::summary(flags, &admin).await?);
    Ok(())
}

/// Deploys the demo and shows that every replica answers.
async fn demo(flags: &Flags, admin: &kube::Client, progress: &mut Progress) -> Result<(), Failure> {
    if matches!(flags.runtime(), Runtime::Cri(_)) {
        progress.say("  no demo: its image is made for the embedded runtime");
        return Ok(());
    }
    let address = demo_app::deploy(admin, &flags.runtime()).await?;
    progress.ready("demo", "Deployment and Service created");
    if flags.runtime() == Runtime::Fake {
        progress.say("  the demo's containers are simulated: nothing answers at its address");
        return Ok(());
    }
    let pods = demo_app::ask_all(admin, &address, || progress.ready("demo", "first answer")).await?;
    progress.ready("demo", &format!("answers through http://{address}/ from {}", summary::list(&pods)));
    Ok(())
}
