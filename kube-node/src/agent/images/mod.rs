//! Removes images that nobody uses when the disk gets full.

mod choice;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;

use self::choice::{Seen, excess, is_used, victims};
use crate::{
    Clock, Result,
    config::{Config, Files},
    events::{Level, Recorder},
    node::{Left, disk_left},
    seam::{ContainerFilter, Runtime},
};

/// The collector of a node.
pub(super) struct Collector {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) clock: Clock,
    pub(super) config: Arc<Config>,
    pub(super) events: Recorder,
    /// What is known about the images on the node, by id.
    pub(super) seen: BTreeMap<String, Seen>,
}

impl Collector {
    /// Looks at the disk now and again. Does not return.
    pub(super) async fn run(mut self) {
        if self.config.files == Files::Skip {
            std::future::pending::<()>().await;
        }
        loop {
            let root = self.config.root_dir.clone();
            let disk = tokio::task::spawn_blocking(move || disk_left(&root)[0]).await.unwrap_or_default();
            if let Err(error) = self.round(disk).await {
                tracing::warn!(%error, "cannot collect images");
                self.say("ImageGCFailed", error.to_string());
            }
            tokio::time::sleep(self.config.image_gc_check).await;
        }
    }

    /// Removes as many images as the state of the disk asks for.
    async fn round(&mut self, disk: Left) -> Result<()> {
        let (service, now) = (self.runtime.images(), self.clock.now());
        let images = service.list().await?;
        let containers = self.runtime.containers(&ContainerFilter::default()).await?;
        self.seen.retain(|id, _| images.iter().any(|image| image.id == *id));
        for image in &images {
            let seen = self.seen.entry(image.id.clone()).or_insert(Seen { first: now, used: None });
            if is_used(image, &containers) {
                seen.used = Some(now);
            }
        }
        let (high, low) = (self.config.image_gc_high_percent, self.config.image_gc_low_percent);
        let Some(excess) = excess(disk, high, low) else { return Ok(()) };
        let age = SignedDuration::try_from(self.config.image_gc_min_age).unwrap_or(SignedDuration::MAX);
        let mut freed = 0;
        for image in victims(&images, &self.seen, now, age) {
            if freed >= excess {
                break;
            }
            tracing::info!(id = image.id, names = ?image.repo_tags, "removing an image that nobody uses");
            service.remove(&image.id).await?;
            freed += image.size;
        }
        if freed < excess {
            let text = format!(
                "Failed to garbage collect required amount of images. Attempted to free {excess} bytes, but only found {freed} bytes eligible to free."
            );
            self.say("FreeDiskSpaceFailed", text);
        }
        Ok(())
    }

    fn say(&self, reason: &'static str, text: String) {
        self.events.node(&self.config.node_name, Level::Warning, reason, text);
    }
}
