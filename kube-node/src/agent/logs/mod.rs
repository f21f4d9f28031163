//! Keeps the logs of containers from filling the disk.
//!
//! A log that has grown too long is renamed, with the time as its name's end, and its runtime is told to begin another one. Of the renamed
//! ones the newest stays as it is, for whoever is reading it; those before it are compressed, and the oldest are removed.

mod files;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;

use crate::{
    Clock, Error, Result,
    config::{Config, Files},
    seam::{ContainerFilter, ContainerState, Runtime},
};

/// Looks at the logs of running containers now and again. Does not return.
pub(super) async fn rotate(runtime: &dyn Runtime, clock: Clock, config: &Config) {
    if config.files == Files::Skip {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(config.container_log_check).await;
        if let Err(error) = round(runtime, clock, config).await {
            tracing::debug!(%error, "cannot look at the logs");
        }
    }
}

async fn round(runtime: &dyn Runtime, clock: Clock, config: &Config) -> Result<()> {
    let filter = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
    for container in runtime.containers(&filter).await? {
        let path = container.log_path.as_path();
        let size = tokio::fs::metadata(path).await.map_or(0, |meta| meta.len());
        if path.as_os_str().is_empty() || size <= config.container_log_max_size {
            continue;
        }
        let reopen = runtime.reopen_log(&container.id);
        if let Err(error) = rotate_one(path, clock.now(), config.container_log_max_files, reopen).await {
            tracing::warn!(path = %path.display(), %error, "cannot rotate a log");
        }
    }
    Ok(())
}

/// Rotates one log; `most` files of it remain, the new one among them.
async fn rotate_one(
    path: &Path,
    now: Timestamp,
    most: u32,
    reopen: impl Future<Output = Result<()>>,
) -> Result<()> {
    let target = files::rotated(path, now);
    // Besides the new one and the one that is rotated now.
    let keep = most.saturating_sub(2) as usize;
    let (log, to) = (path.to_owned(), target.clone());
    let renamed = tokio::task::spawn_blocking(move || {
        files::make_room(&log, keep)?;
        files::rename(&log, &to)
    });
    renamed.await.map_err(|error| Error::Failed(error.to_string()))??;
    if let Err(error) = reopen.await {
        // The runtime goes on writing into the old file, so that must have its name again, unless another one has taken it.
        if !tokio::fs::try_exists(path).await.unwrap_or(true) {
            files::rename(&target, path)?;
        }
        return Err(error);
    }
    Ok(())
}
