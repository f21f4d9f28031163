//! One watcher's end.

use std::collections::VecDeque;
use std::sync::Arc;

use kube_store::Revision;
use tokio::sync::mpsc;

use super::entry::{ChangeKind, Entry};

/// What a watcher gets.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// An object came, changed or went.
    Change(ChangeKind, Arc<Entry>),
    /// Nothing up to this revision is missing.
    Bookmark(Revision),
}

/// A queue of deliveries: first what there is, then what comes.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Revision of the initial deliveries.
    pub(crate) revision: Revision,
    initial: VecDeque<Delivery>,
    receiver: mpsc::Receiver<Delivery>,
}

impl Watcher {
    pub(super) fn new(
        revision: Revision,
        initial: VecDeque<Delivery>,
        receiver: mpsc::Receiver<Delivery>,
    ) -> Self {
        Self { revision, initial, receiver }
    }

    /// The next of the initial deliveries.
    pub(crate) fn initial(&mut self) -> Option<Delivery> {
        self.initial.pop_front()
    }

    /// What comes next; `None` when the watcher was cut.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        match self.initial.pop_front() {
            Some(delivery) => Some(delivery),
            None => self.receiver.recv().await,
        }
    }
}
