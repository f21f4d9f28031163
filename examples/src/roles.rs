//! Each role as a future: what the single binaries and `cluster` have in common.

use std::future::Future;
use std::process::ExitCode;

use kube::Client;
use kube_ctrl::leader::{self, LeaderConfig};
use tokio_util::sync::CancellationToken;

use crate::{Failure, allocator, machine};

/// Runs a binary: logs to stderr, ends on SIGINT or SIGTERM, and says why it failed.
pub fn main<F, W>(role: F) -> ExitCode
where
    F: FnOnce(CancellationToken) -> W,
    W: Future<Output = Result<(), Failure>>,
{
    main_logging(None, role)
}

/// The same for one that has been told how much to log, as `info`.
pub fn main_logging<F, W>(level: Option<&str>, role: F) -> ExitCode
where
    F: FnOnce(CancellationToken) -> W,
    W: Future<Output = Result<(), Failure>>,
{
    allocator::keep_little();
    machine::log_to_stderr(level);
    machine::raise_open_files();
    let shutdown = CancellationToken::new();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = runtime.block_on(async {
        tokio::spawn(cancel_on_signal(shutdown.clone()));
        role(shutdown).await
    });
    ended.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "a binary says why it ends")]
fn failed(error: &Failure) -> ExitCode {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    eprintln!("error: {error}{}", causes.map(|cause| format!(": {cause}")).collect::<String>());
    ExitCode::FAILURE
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
    shutdown.cancel();
}

/// Runs `role` while this process holds the lease `name` in `kube-system`; at once if `elect` is false.
///
/// # Errors
/// Those of the election; the role's own.
pub async fn lead<F, W>(
    client: Client,
    name: &str,
    elect: bool,
    shutdown: CancellationToken,
    role: F,
) -> Result<(), Failure>
where
    F: FnOnce(CancellationToken) -> W + Send,
    W: Future<Output = Result<(), Failure>> + Send,
{
    let config = elect.then(|| LeaderConfig { name: name.into(), ..LeaderConfig::default() });
    lead_with(client, config, shutdown, role).await
}

/// As [`lead`], with everything about the lease but the identity, which is this process's; at once if there is none.
///
/// # Errors
/// Those of the election; the role's own.
pub async fn lead_with<F, W>(
    client: Client,
    config: Option<LeaderConfig>,
    shutdown: CancellationToken,
    role: F,
) -> Result<(), Failure>
where
    F: FnOnce(CancellationToken) -> W + Send,
    W: Future<Output = Result<(), Failure>> + Send,
{
    let Some(config) = config else { return role(shutdown).await };
    let identity = format!("{}_{}", machine::host_name(), uuid::Uuid::new_v4());
    let config = LeaderConfig { identity, ..config };
    let mut ended = Ok(());
    let lost =
        leader::run(client, config, shutdown.clone(), |token| async { ended = role(token).await }).await?;
    match ended {
        Ok(()) if !shutdown.is_cancelled() => Err(format!("leader election ended: {lost:?}").into()),
        ended => ended,
    }
}
