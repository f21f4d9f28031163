//! For how long a leader may answer reads without asking the others first.
//!
//! Whoever answers a leader's heartbeat does not help to make another leader for the shortest time of an election after it.
//! So when a majority has answered heartbeats that left at a moment, nobody else leads until that long after the moment,
//! and the leader's own state is the newest. That holds only if
//! - members refuse their votes for that long, whatever else they hear meanwhile, and also after they have started again,
//!   for they do not remember what they answered;
//! - the leader has not asked anybody to take its place, for such a one is voted for at once;
//! - the voters are the same since then;
//! - the leader's time is shorter than that of the others, whose clocks may be faster, and who count in whole ticks.

use std::time::Duration;

use tokio::time::Instant;

use super::{RaftConfig, ReadMode};

/// What a member knows of its right to answer alone, and of what it owes to a leader that has it.
#[derive(Debug)]
pub(super) struct ReadLease {
    /// How long it lasts; `None` when nobody is to answer alone.
    length: Option<Duration>,
    /// The term for which it holds, and until when.
    held: Option<(u64, Instant)>,
    /// Rounds of questions before this one renew nothing.
    barrier: u64,
    /// The newest term in which this member asked another to take its place.
    handed_over: u64,
    /// Ticks for which this member gives nobody its vote.
    bound: usize,
    election_ticks: usize,
}

impl ReadLease {
    /// A member that starts; one that was there before may have answered a leader a moment ago.
    pub(super) fn new(config: &RaftConfig, fresh: bool) -> Self {
        let length = match config.reads {
            ReadMode::Quorum => None,
            ReadMode::Lease { drift_percent } => Some(length(config, drift_percent)),
        };
        let mut lease = Self {
            length,
            held: None,
            barrier: 0,
            handed_over: 0,
            bound: 0,
            election_ticks: config.election_ticks,
        };
        if !fresh {
            lease.heard();
        }
        lease
    }

    /// A leader is there: it may count on this member for a while.
    pub(super) fn heard(&mut self) {
        self.bound = if self.length.is_some() { self.election_ticks } else { 0 };
    }

    pub(super) fn tick(&mut self) {
        self.bound = self.bound.saturating_sub(1);
    }

    /// Whether this member must not vote yet.
    pub(super) fn is_bound(&self) -> bool {
        self.bound > 0
    }

    /// Gives it up: the round after `asked` is the first that counts again.
    pub(super) fn give_up(&mut self, asked: u64) {
        self.held = None;
        self.barrier = asked + 1;
    }

    /// This member has asked another to lead in its place, which may happen at any time until the term ends.
    pub(super) fn hand_over(&mut self, term: u64) {
        self.held = None;
        self.handed_over = self.handed_over.max(term);
    }

    /// A majority has answered a round of questions that began at `since`.
    pub(super) fn renew(&mut self, term: u64, round: u64, since: Instant) {
        if let Some(length) = self.length
            && round >= self.barrier
            && term > self.handed_over
        {
            let until = since + length;
            let longer = self.held.is_none_or(|(of, known)| of != term || known < until);
            self.held = if longer { Some((term, until)) } else { self.held };
        }
    }

    /// Whether the leader of `term` may answer alone now.
    pub(super) fn holds(&self, term: u64, now: Instant) -> bool {
        self.held.is_some_and(|(of, until)| of == term && now < until)
    }

    /// Whether it is time to ask the others again, so that it does not end.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let half = self.length.unwrap_or_default() / 2;
        self.held.is_none_or(|(_, until)| now + half >= until)
    }

    /// Makes it last as it must not.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn lengthen(&mut self) {
        self.length = self.length.map(|length| length * 3);
    }
}

/// The shortest time of an election by the fastest clock. A tick may come right after the heartbeat was answered, so one is
/// not counted.
fn length(config: &RaftConfig, drift_percent: u32) -> Duration {
    let ticks = u32::try_from(config.election_ticks).unwrap_or(u32::MAX).saturating_sub(1);
    let by_own_clock = config.tick.saturating_mul(ticks);
    by_own_clock.saturating_mul(100) / drift_percent.saturating_add(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(reads: ReadMode) -> RaftConfig {
        RaftConfig { reads, ..RaftConfig::single() }
    }

    #[test]
    fn it_is_shorter_than_any_election() {
        let length = |drift_percent| length(&config(ReadMode::Quorum), drift_percent);
        assert_eq!(length(0), Duration::from_millis(900));
        assert_eq!(length(25), Duration::from_millis(720));
    }

    #[test]
    fn it_holds_for_its_time_and_its_term() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut lease = ReadLease::new(&config(ReadMode::Lease { drift_percent: 0 }), true);
        assert!(!lease.holds(1, now));
        lease.renew(1, 1, now);
        assert!(lease.holds(1, at(899)) && !lease.holds(1, at(900)) && !lease.holds(2, now));
        assert!(!lease.is_due(at(449)) && lease.is_due(at(450)));
        lease.give_up(3);
        lease.renew(1, 3, at(10));
        assert!(!lease.holds(1, at(11)), "a round that began before it was given up");
        lease.renew(1, 4, at(10));
        assert!(lease.holds(1, at(11)));
        lease.hand_over(1);
        lease.renew(1, 5, at(20));
        assert!(!lease.holds(1, at(21)), "another was asked to lead");
        lease.renew(2, 6, at(20));
        assert!(lease.holds(2, at(21)));
    }

    #[test]
    fn members_are_bound_only_where_it_matters() {
        let mut lease = ReadLease::new(&config(ReadMode::Lease { drift_percent: 0 }), false);
        (0..10).for_each(|_| {
            assert!(lease.is_bound());
            lease.tick();
        });
        assert!(!lease.is_bound());
        let mut without = ReadLease::new(&config(ReadMode::Quorum), false);
        without.heard();
        without.renew(1, 1, Instant::now());
        assert!(!without.is_bound() && !without.holds(1, Instant::now()));
    }
}
