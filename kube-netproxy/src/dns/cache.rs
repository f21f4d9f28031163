//! Answers of others, kept for as long as they hold.

use std::collections::HashMap;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use tokio::time::Instant;

use super::reply::lifetime;

/// Answers of others, at most so many.
#[derive(Debug)]
pub(super) struct Cache {
    limit: usize,
    longest: Duration,
    entries: HashMap<Key, Entry>,
}

/// A question, and whether signatures are wanted with the answer.
type Key = (Query, bool);

#[derive(Debug)]
struct Entry {
    response: Message,
    since: Instant,
    until: Instant,
}

impl Cache {
    pub(super) fn new(limit: usize, longest: Duration) -> Self {
        Self { limit, longest, entries: HashMap::new() }
    }

    /// An answer, its times reduced by its age.
    pub(super) fn get(&self, query: &Query, signed: bool, now: Instant) -> Option<Message> {
        let entry = self.entries.get(&(query.clone(), signed)).filter(|entry| now < entry.until)?;
        let age = u32::try_from(now.duration_since(entry.since).as_secs()).unwrap_or(u32::MAX);
        let mut response = entry.response.clone();
        let sections = [&mut response.answers, &mut response.authorities, &mut response.additionals];
        for record in sections.into_iter().flatten() {
            record.decrement_ttl(age);
        }
        Some(response)
    }

    pub(super) fn put(&mut self, query: Query, signed: bool, response: &Message, now: Instant) {
        let Some(seconds) = lifetime(response) else { return };
        if self.limit == 0 {
            return;
        }
        if self.entries.len() >= self.limit {
            self.entries.retain(|_, entry| now < entry.until);
        }
        while self.entries.len() >= self.limit {
            // Which one goes hardly matters, as long as it costs nothing to find.
            let Some(victim) = self.entries.keys().next().cloned() else { break };
            self.entries.remove(&victim);
        }
        let until = now + Duration::from_secs(seconds.into()).min(self.longest);
        self.entries.insert((query, signed), Entry { response: response.clone(), since: now, until });
    }
}
