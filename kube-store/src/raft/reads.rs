//! Linearizable reads: the leader says how far its log was committed when it was asked, after making sure that it still
//! leads; who has applied that far may answer from its own state. A leader that knows that it leads need not make sure.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::codec::{Reader, Writer};
use super::command::RequestId;

/// Reads of one member, by the tokens of those who wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    next: u64,
    waiting: Vec<u64>,
    asked: BTreeMap<u64, Asked>,
    /// By the index that has to be applied first.
    known: BTreeMap<u64, Vec<u64>>,
}

#[derive(Debug)]
struct Asked {
    tokens: Vec<u64>,
    since: Instant,
    ticks: usize,
}

/// A round of questions that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) number: u64,
    pub(super) since: Instant,
}

impl Reads {
    pub(super) fn add(&mut self, token: u64) {
        self.waiting.push(token);
    }

    /// Everybody who waits asks together; answers what to ask with. The nonce keeps an answer to an earlier life of this
    /// process, which asked with the same number, from passing for one to this.
    pub(super) fn ask(&mut self, member: u64, nonce: u64, now: Instant) -> Vec<u8> {
        self.next += 1;
        let tokens = std::mem::take(&mut self.waiting);
        self.asked.insert(self.next, Asked { tokens, since: now, ticks: 0 });
        let mut w = Writer::default();
        super::command::put_request(&mut w, RequestId { member, nonce, number: self.next });
        w.finish().to_vec()
    }

    /// Whether somebody waits who has not asked.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a round is under way.
    pub(super) fn is_asking(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The newest round.
    pub(super) fn asked(&self) -> u64 {
        self.next
    }

    /// Takes the leader's answer.
    pub(super) fn answer(&mut self, context: &[u8], index: u64, member: u64, nonce: u64) -> Option<Round> {
        let mut r = Reader::new(bytes::Bytes::copy_from_slice(context));
        let request = super::command::take_request(&mut r).ok()?;
        if (request.member, request.nonce) != (member, nonce) {
            return None;
        }
        let Asked { tokens, since, .. } = self.asked.remove(&request.number)?;
        self.known.entry(index).or_default().extend(tokens);
        Some(Round { number: request.number, since })
    }

    /// Everybody who waits may read once `index` is applied.
    pub(super) fn grant(&mut self, index: u64) {
        if !self.waiting.is_empty() {
            self.known.entry(index).or_default().append(&mut self.waiting);
        }
    }

    /// Those who may read now that `applied` is.
    pub(super) fn release(&mut self, applied: u64) -> Vec<u64> {
        let later = self.known.split_off(&(applied + 1));
        std::mem::replace(&mut self.known, later).into_values().flatten().collect()
    }

    /// Asks again for what was not answered within `patience` ticks: the leader was another by then, or had not yet
    /// committed anything itself.
    pub(super) fn tick(&mut self, patience: usize) {
        self.asked.retain(|_, asked| {
            asked.ticks += 1;
            let lost = asked.ticks >= patience;
            if lost {
                self.waiting.append(&mut asked.tokens);
            }
            !lost
        });
    }
}
