//! One member as a value: its log, its place in the group, and the store that follows from the log. No I/O, no clock, no
//! randomness of its own: whoever holds it hands in time, messages and requests, and carries out what [`Core::poll`] says.
//!
//! The order is the point: what [`Work::batch`] holds is durable before [`Work::after`] leaves and before
//! [`Core::persisted`] is called, and nothing is handed in between `poll` and `persisted`. Commands are applied when the
//! group has committed them, and are visible from then on; their effect on the store's records becomes durable with a
//! later batch, since until then the log can repeat it. So each batch is one sync for entries, votes and state together.

mod apply;
mod farewell;
mod inputs;
mod install;
mod reading;
mod ticks;

use std::collections::BTreeSet;

use bytes::Bytes;
use raft::prelude::{Entry, HardState, Message, MessageType, RawNode, Ready};
use raft::{LightReady, StateRole};
use tokio::time::Instant;

use self::farewell::Farewell;
pub(super) use self::farewell::removed;
use self::inputs::{Proposals, Staged};
use self::install::{Install, Litter};
use super::command::Answer;
use super::log::Log;
use super::members::Members;
use super::read_lease::ReadLease;
use super::reads::Reads;
use super::record::{self, Applied, Loaded, Position};
use super::transfer::Transfers;
use super::window::Window;
use super::wire::Frame;
use super::{RaftConfig, RaftStatus, Role, Start, trace};
use crate::engine::{Batch, Engine};
use crate::mvcc::State;
use crate::{Error, Result};

/// Revisions that a compaction frees at once.
const SWEEP: usize = 1024;
/// Applied entries that may wait for a batch of something else.
const APPLIED_BACKLOG: u64 = 1024;

/// One member. See the module's documentation.
pub(crate) struct Core {
    pub(super) id: u64,
    /// Names this life of the member.
    pub(super) nonce: u64,
    pub(super) config: RaftConfig,
    node: RawNode<Log>,
    /// Term when this life began.
    boot_term: u64,
    /// Identity and beginning are not on the disk yet.
    fresh: bool,
    /// Applied index on the disk.
    durable: u64,
    /// What became known when the last batch was durable.
    light: Option<LightReady>,
    /// Term in which this member took up its duties as a leader.
    leading: Option<u64>,
    proposals: Proposals,
    /// To be put into the log together.
    staged: Vec<Staged>,
    window: Window,
    reads: Reads,
    lease: ReadLease,
    transfers: Transfers,
    /// Snapshots begun in this life; numbers them.
    snapshots: u64,
    /// A snapshot that is being put in place.
    install: Option<Install>,
    /// What an earlier life has left that was interrupted at that.
    litter: Litter,
    /// Up to where this member has lost what it had.
    lost: Option<Position>,
    outbox: Vec<Outgoing>,
    answers: Vec<(u64, Result<Answer>)>,
    released: Vec<u64>,
    expiring: BTreeSet<i64>,
    /// When it was last noted what is left of leases.
    checkpointed: Instant,
    sweeping: bool,
    /// What is applied should become durable even if nothing else has to.
    flush: bool,
    quiet_ticks: usize,
    /// Another member said that this one was removed.
    told_removed: bool,
    /// What a leader that was removed still has to say.
    farewell: Option<Farewell>,
    #[cfg(any(test, feature = "testing"))]
    mutation: Option<crate::testing::simulation::Mutation>,
}

/// A frame and the member it is for.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) to: u64,
    pub(crate) frame: Bytes,
    /// Whether it is a part of a snapshot.
    pub(crate) is_part: bool,
}

/// What to do, in the order of the fields.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// May leave at once.
    pub(crate) send: Vec<Outgoing>,
    /// What the commands applied gave, by the number the request came with.
    pub(crate) answers: Vec<(u64, Result<Answer>)>,
    /// Reads that may be answered from the state now.
    pub(crate) reads: Vec<u64>,
    /// Whether the whole state was replaced.
    pub(crate) replaced: bool,
    /// Indexes of the entries added to the log.
    pub(crate) appended: std::ops::Range<u64>,
    /// To be made durable with one sync, if not empty.
    pub(crate) batch: Batch,
    /// Must not leave before `batch` is durable.
    pub(crate) after: Vec<Outgoing>,
    /// To be handed to [`Core::persisted`] once `batch` is durable.
    pub(crate) ready: Option<Ready>,
}

impl Core {
    /// The member that `engine` holds, or a new one, and its store. `nonce` must never have been used by this member
    /// before.
    pub(crate) fn load(
        engine: &dyn Engine,
        config: RaftConfig,
        nonce: u64,
        now: Instant,
    ) -> Result<(Self, State)> {
        config.validate()?;
        let mut loaded = record::load(engine)?;
        let fresh = loaded.identity.is_none();
        begin_or_check(&mut loaded, &config)?;
        let lost = loaded.lost;
        let (state, litter) = if loaded.interrupted.is_some() {
            (install::nothing(now)?, record::litter(engine)?)
        } else {
            (State::load_below(engine, &record::OF_THE_STORE, now)?, Litter::new())
        };
        let lease = ReadLease::new(&config, fresh);
        let (boot_term, durable) = (loaded.hard.term, loaded.applied.at.index);
        let node = RawNode::new(&raft_config(&config, durable), Log::new(loaded), &trace::logger())
            .map_err(|error| Error::corrupt(error.to_string()))?;
        let mut core = Self {
            id: config.id,
            nonce,
            config,
            node,
            boot_term,
            fresh,
            durable,
            light: None,
            leading: None,
            proposals: Proposals::default(),
            staged: Vec::new(),
            window: Window::default(),
            reads: Reads::default(),
            lease,
            transfers: Transfers::default(),
            snapshots: 0,
            install: None,
            litter,
            lost,
            outbox: Vec::new(),
            answers: Vec::new(),
            released: Vec::new(),
            expiring: BTreeSet::new(),
            checkpointed: now,
            sweeping: true,
            flush: false,
            quiet_ticks: 0,
            told_removed: false,
            farewell: None,
            #[cfg(any(test, feature = "testing"))]
            mutation: None,
        };
        core.set_timeout();
        core.stand_if_alone();
        Ok((core, state))
    }

    /// The only voter needs nobody's vote and waits for nobody.
    fn stand_if_alone(&mut self) {
        if self.node.raft.promotable() && self.node.raft.prs().is_singleton() {
            let _ = self.node.campaign();
        }
    }

    /// What there is to do; `None` when nothing is. Fails when the member must stop.
    pub(crate) fn poll(&mut self, state: &mut State, now: Instant) -> Result<Option<Work>> {
        if self.has_left() {
            let mut work = Work::default();
            self.hand_over(&mut work);
            let is_something = !(work.send.is_empty() && work.answers.is_empty() && work.reads.is_empty());
            return Ok(is_something.then_some(work));
        }
        self.log_staged();
        self.take_up_lead(state, now);
        self.sweep(state);
        self.ask_reads(now);
        let light = self.light.take();
        if light.is_none()
            && let Some(work) = self.prepare(state)
        {
            return Ok(Some(work));
        }
        if light.is_none() && self.is_idle(state) {
            return Ok(None);
        }
        let mut work = Work::default();
        // What an earlier batch has led to comes before a snapshot is put in place.
        let wait = light.is_some() && self.is_taking_snapshot();
        if let Some(mut light) = light {
            self.apply(light.take_committed_entries(), state, now)?;
            let messages = light.take_messages();
            self.emit(messages, state, &mut work.send);
        }
        let ready = (!wait && self.node.has_ready()).then(|| self.node.ready());
        let mut must = !wait && (self.fresh || self.wants_flush(state));
        let mut appended = Vec::new();
        if let Some(mut ready) = ready {
            must |= ready.must_sync();
            if !ready.snapshot().is_empty() {
                self.install(&ready, state, &mut work.batch)?;
                work.replaced = true;
            }
            appended = ready.take_entries();
            self.append(&appended, &mut work.batch);
            work.appended =
                appended.first().map_or(0, |e| e.index)..appended.last().map_or(0, |e| e.index + 1);
            let committed = self.committed(&mut ready, &appended);
            self.apply(committed, state, now)?;
            for read in ready.take_read_states() {
                self.answer_read(&read);
            }
            let now_or_never = ready.take_messages();
            self.emit(now_or_never, state, &mut work.send);
            let persisted = ready.take_persisted_messages();
            self.emit(persisted, state, &mut work.after);
            work.ready = Some(ready);
        } else {
            self.advance_apply();
        }
        if must || !appended.is_empty() {
            self.persist(state, &mut work.batch);
        }
        self.hand_over(&mut work);
        Ok(Some(work))
    }

    /// Says that the batch of a [`Work`] is durable.
    pub(crate) fn persisted(&mut self, ready: Ready) {
        if self.has_left() {
            // It is not among those any more whose progress a leader counts.
            return;
        }
        let light = self.node.advance_append(ready);
        self.advance_apply();
        self.set_timeout();
        if light.commit_index().is_some()
            || !light.messages().is_empty()
            || !light.committed_entries().is_empty()
        {
            self.light = Some(light);
        }
    }

    fn advance_apply(&mut self) {
        let log = &self.node.raft.raft_log;
        let applied = self.applied().index.min(log.committed).min(log.persisted);
        self.node.advance_apply_to(applied);
    }

    fn is_idle(&self, state: &State) -> bool {
        !self.node.has_ready()
            && self.outbox.is_empty()
            && self.answers.is_empty()
            && self.released.is_empty()
            && !self.fresh
            && !self.wants_flush(state)
    }

    /// Makes what is applied durable with the next work, even if nothing else has to be.
    pub(crate) fn flush(&mut self) {
        self.flush = true;
    }

    fn wants_flush(&self, state: &State) -> bool {
        let behind = self.applied().index - self.durable;
        let sweep = self.sweeping && state.has_changes();
        (behind > 0 || state.has_changes()) && (self.flush || sweep || behind > APPLIED_BACKLOG)
    }

    /// Writes entries to the log.
    fn append(&mut self, entries: &[Entry], batch: &mut Batch) {
        let gone = self.node.mut_store().append(entries);
        gone.for_each(|index| record::delete_entry(batch, index));
        entries.iter().for_each(|entry| record::put_entry(batch, entry));
    }

    /// Adds to a batch all that may be in it: whatever is applied goes along with what must be synced.
    fn persist(&mut self, state: &mut State, batch: &mut Batch) {
        if std::mem::take(&mut self.fresh) {
            record::put_identity(batch, self.config.cluster, self.id);
            record::put_truncated(batch, self.node.store().truncated());
        }
        let hard = self.node.raft.hard_state();
        record::put_hard(batch, &hard);
        self.note_lost(batch);
        let log = self.node.mut_store();
        log.hard = hard;
        record::put_applied(batch, &log.applied);
        self.durable = log.applied.at.index;
        let gone = log.truncate(self.durable, self.config.keep_entries, self.config.keep_bytes);
        if !gone.is_empty() {
            record::put_truncated(batch, log.truncated());
            gone.for_each(|index| record::delete_entry(batch, index));
        }
        apply::put_changes(state, batch);
        (self.flush, self.quiet_ticks) = (false, 0);
    }

    /// Frees what compaction made unreachable, once nothing of it is still to be written and no snapshot is read from it.
    fn sweep(&mut self, state: &mut State) {
        if self.sweeping && !state.has_changes() && self.transfers.is_empty() && self.install.is_none() {
            self.sweeping = !state.sweep(SWEEP);
        }
    }

    fn hand_over(&mut self, work: &mut Work) {
        work.send.append(&mut self.outbox);
        work.answers.append(&mut self.answers);
        work.reads.append(&mut self.released);
        let applied = self.applied().index;
        work.reads.extend(self.reads.release(applied));
    }

    /// Turns messages of the `raft` crate into frames; a snapshot gets its state here, and its place along with it.
    fn emit(&mut self, messages: Vec<Message>, state: &State, out: &mut Vec<Outgoing>) {
        for mut message in messages {
            let to = message.to;
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.start_snapshot(&mut message, state, out);
                continue;
            }
            match protobuf::Message::write_to_bytes(&message) {
                Ok(bytes) => out.push(self.outgoing(to, &Frame::Raft(bytes.into()))),
                Err(error) => tracing::error!(%error, "a message could not be encoded"),
            }
        }
    }

    fn start_snapshot(&mut self, message: &mut Message, state: &State, out: &mut Vec<Outgoing>) {
        let applied = self.node.store().applied.clone();
        let metadata = message.mut_snapshot().mut_metadata();
        (metadata.index, metadata.term) = (applied.at.index, applied.at.term);
        metadata.set_conf_state(applied.conf.clone());
        self.snapshots += 1;
        let id = self.nonce.wrapping_add(self.snapshots);
        let frames = self.transfers.start(id, message, state, &applied, self.config.chunk_bytes);
        out.extend(frames.iter().map(|frame| self.outgoing(message.to, frame)));
    }

    fn outgoing(&self, to: u64, frame: &Frame) -> Outgoing {
        let is_part = matches!(frame, Frame::Chunk { .. });
        Outgoing { to, frame: frame.encode(self.config.cluster, self.id), is_part }
    }

    fn applied(&self) -> Position {
        self.node.store().applied.at
    }

    pub(super) fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// Elections are decided by the term and the member's seed, not by the `raft` crate's own randomness.
    fn set_timeout(&mut self) {
        let ticks = self.config.election_ticks;
        let seed = self.config.store.seed.unwrap_or(self.nonce);
        let mut rng = fastrand::Rng::with_seed(seed ^ self.node.raft.term.rotate_left(32) ^ self.id);
        self.node.raft.set_randomized_election_timeout(rng.usize(ticks..2 * ticks));
    }

    pub(crate) fn members(&self) -> &Members {
        &self.node.store().applied.members
    }

    /// Whether this member was removed from its group, and has nothing more to say.
    pub(crate) fn is_removed(&self) -> bool {
        self.told_removed || (self.is_out(self.id) && self.farewell.is_none())
    }

    /// Whether a member was removed and nobody needs its vote any more, as until the end of a joint step.
    fn is_out(&self, id: u64) -> bool {
        let applied = &self.node.store().applied;
        applied.members.removed.contains(&id) && !applied.conf.voters_outgoing.contains(&id)
    }

    pub(crate) fn status(&self) -> RaftStatus {
        let raft = &self.node.raft;
        let role = match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower if self.members().all.get(&self.id).is_none_or(|m| m.learner) => {
                Role::Learner
            }
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        };
        RaftStatus {
            id: self.id,
            leader: Some(raft.leader_id).filter(|id| *id != 0),
            role,
            term: raft.term,
            committed: raft.raft_log.committed,
            applied: self.applied().index,
            removed: self.members().removed.iter().copied().filter(|id| self.is_out(*id)).collect(),
            members: self.members().all.values().cloned().collect(),
        }
    }
}

/// Begins on an empty disk, and refuses that of another member.
fn begin_or_check(loaded: &mut Loaded, config: &RaftConfig) -> Result<()> {
    match loaded.identity {
        None => begin(loaded, &config.start),
        Some(identity) if identity == (config.cluster, config.id) => {}
        Some((cluster, id)) => {
            return Err(Error::corrupt(format!("the disk is that of member {id:x} of group {cluster:x}")));
        }
    }
    Ok(())
}

/// The beginning of a group is as if a first entry, made of nothing, had been applied by all of its members; so a member
/// that comes later is always told of the members by a snapshot.
fn begin(loaded: &mut Loaded, start: &Start) {
    let Start::New(members) = start else { return };
    let first = Position { index: 1, term: 1 };
    let members = Members::of(members.iter().cloned());
    let (learners, voters): (Vec<_>, Vec<_>) = members.all.values().partition(|member| member.learner);
    let mut applied = Applied { at: first, ..Applied::default() };
    applied.conf.voters = voters.iter().map(|member| member.id).collect();
    applied.conf.learners = learners.iter().map(|member| member.id).collect();
    applied.members = members;
    loaded.applied = applied;
    loaded.truncated = first;
    loaded.hard = HardState { term: first.term, commit: first.index, ..HardState::default() };
}

fn raft_config(config: &RaftConfig, applied: u64) -> raft::Config {
    raft::Config {
        id: config.id,
        applied,
        election_tick: config.election_ticks,
        heartbeat_tick: config.heartbeat_ticks,
        max_size_per_msg: config.max_message_bytes,
        max_inflight_msgs: config.max_inflight,
        max_uncommitted_size: config.max_uncommitted_bytes,
        max_committed_size_per_ready: config.max_message_bytes.saturating_mul(16),
        check_quorum: true,
        pre_vote: true,
        // `batch_append` stays off: 0.7 may then put entries into a message that was to follow others, and the follower
        // acknowledges what it does not have. Proposals are batched before they come there.
        ..raft::Config::default()
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("status", &self.status()).finish_non_exhaustive()
    }
}

#[cfg(any(test, feature = "testing"))]
mod observe;
