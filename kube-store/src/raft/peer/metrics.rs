//! What goes to other members and comes from them, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::measure::{Counter, Histogram};

/// What goes to other members and comes from them, for a page of metrics.
#[derive(Debug, Default)]
pub struct PeerMetrics(Mutex<BTreeMap<u64, Arc<LinkMetrics>>>);

/// The same of one other member.
#[derive(Debug)]
pub(crate) struct LinkMetrics {
    /// Bytes of frames.
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
    /// Connections that could not be made, or broke.
    pub(crate) broken: Counter,
    pub(crate) round_trips: Histogram,
}

impl PeerMetrics {
    /// Those of one member.
    pub(crate) fn of(&self, member: u64) -> Arc<LinkMetrics> {
        self.0.lock().entry(member).or_insert_with(|| Arc::new(LinkMetrics::new())).clone()
    }

    /// Those of all.
    pub(crate) fn links(&self) -> Vec<(u64, Arc<LinkMetrics>)> {
        self.0.lock().iter().map(|(member, link)| (*member, link.clone())).collect()
    }

    /// Forgets members that are none.
    pub(crate) fn retain(&self, is_member: impl Fn(u64) -> bool) {
        self.0.lock().retain(|member, _| is_member(*member));
    }
}

impl LinkMetrics {
    fn new() -> Self {
        Self {
            sent: Counter::default(),
            received: Counter::default(),
            broken: Counter::default(),
            round_trips: Histogram::doubling(0.0001, 15),
        }
    }
}
