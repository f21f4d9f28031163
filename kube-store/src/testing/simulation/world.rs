//! Members, what is on its way to them, and time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tokio::time::Instant;

use super::clients::{Ask, Clients};
use super::disk::Disk;
use super::invariants::{Invariants, Seen, hash};
use super::network::Network;
use super::rule::{Checked, Rule};
use super::watcher::Watcher;
use super::{Mutation, Report, Settings};
use crate::mvcc::{Scan, State};
use crate::raft::core::{Core, Outgoing, Work};
use crate::raft::{Command, MemberInfo, RaftConfig, ReadMode, Start};
use crate::{Config, RangeRequest};

/// Lines of the trace that are kept.
const LINES: usize = 200;
/// Milliseconds without faults at the end, within which everything must come to rest.
const CALM: u64 = 12_000;

/// Something that happens at a moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Event {
    Tick(u64, u64),
    Frame(u64, Bytes),
    Synced(u64, u64),
    Client(usize),
    Fault,
    Restart(u64),
    Resume(u64),
}

/// What a member is handed when it has time.
#[derive(Debug)]
pub(super) enum Input {
    Tick,
    Frame(Bytes),
    Read(u64),
    Propose(u64, Command),
    Transfer(u64),
}

/// A machine.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) disk: Disk,
    live: Option<Live>,
    life: u64,
    pub(super) paused: bool,
    /// Its next sync fails.
    pub(super) fails: bool,
    /// Until then there is no space on its disk, and every sync fails.
    pub(super) full_until: u64,
    /// Its disk is lost, and it does not come back.
    pub(super) wiped: bool,
    /// It heard that it was removed.
    removed: bool,
    seen: Seen,
}

/// A process on it.
#[derive(Debug)]
struct Live {
    core: Core,
    state: State,
    inbox: VecDeque<Input>,
    syncing: Option<Work>,
    numbers: u64,
    tick: u64,
}

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    seed: u64,
    zero: Instant,
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    queued: u64,
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) newest: u64,
    pub(super) network: Network,
    clients: Clients,
    watchers: Vec<Watcher>,
    invariants: Invariants,
    trace: VecDeque<String>,
    pub(super) report: Report,
}

impl World {
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        let mut world = Self {
            settings: settings.clone(),
            rng: Rng::with_seed(seed),
            seed,
            zero: Instant::now(),
            now: 0,
            queue: BinaryHeap::new(),
            queued: 0,
            nodes: BTreeMap::new(),
            newest: settings.members,
            network: Network::default(),
            clients: Clients::new(settings),
            watchers: (1..=2).map(Watcher::new).collect(),
            invariants: Invariants::default(),
            trace: VecDeque::new(),
            report: Report::default(),
        };
        world.network.heal();
        (1..=settings.members).for_each(|id| world.at(0, Event::Restart(id)));
        (0..settings.clients).for_each(|client| world.at(300, Event::Client(client)));
        world.at(500, Event::Fault);
        world
    }

    pub(super) fn report(&self) -> Report {
        Report {
            operations: self.clients.operations,
            answered: self.clients.answered,
            leaders: self.invariants.leaders(),
            ..self.report.clone()
        }
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.iter().cloned().collect()
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.trace.len() == LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>6} ms  {}", self.now, line()));
    }

    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((time, self.queued, event)));
    }

    fn clock(&self) -> Instant {
        self.zero + Duration::from_millis(self.now)
    }

    /// Runs to the end, and looks at what was seen.
    pub(super) fn run(&mut self) -> Checked {
        let faults = u64::try_from(self.settings.duration.as_millis()).unwrap_or(u64::MAX / 2);
        self.run_until(faults)?;
        self.calm();
        let end = faults + CALM;
        while !self.is_at_rest() {
            if self.now >= end && !self.settings.removes_leaders && !self.has_majority() {
                self.report.stuck = true;
                break;
            }
            if self.now >= end {
                self.say_how_all_are();
                return Rule::Agreement.broken(format!("not after {CALM} ms without faults"));
            }
            self.run_until((self.now + 250).min(end))?;
        }
        self.clients.check(&self.invariants)
    }

    fn run_until(&mut self, end: u64) -> Checked {
        while let Some(Reverse((time, _, event))) = self.queue.pop() {
            if time > end {
                self.at(time, event);
                break;
            }
            self.now = time;
            let digest = self.report.digest;
            self.report.digest = hash(|h| (digest, time, &event).hash(h));
            self.happen(event)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Tick(id, life) => self.tick(id, life),
            Event::Frame(to, frame) => {
                self.input(to, Input::Frame(frame));
                self.drive(to)
            }
            Event::Synced(id, life) => self.synced(id, life),
            Event::Client(client) => self.client(client),
            Event::Fault => {
                self.fault();
                let next = self.now + 50 + self.rng.u64(..500);
                if next < u64::try_from(self.settings.duration.as_millis()).unwrap_or(u64::MAX) {
                    self.at(next, Event::Fault);
                }
                self.drive_all()
            }
            Event::Restart(id) => self.start(id),
            Event::Resume(id) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.paused = false;
                }
                self.drive(id)
            }
        }
    }

    /// No more faults; what is down comes back.
    fn calm(&mut self) {
        self.say(|| "calm".into());
        self.network.heal();
        self.nodes.values_mut().for_each(|node| node.full_until = 0);
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for id in ids {
            self.at(self.now + 10, Event::Restart(id));
            self.at(self.now + 10, Event::Resume(id));
        }
    }

    /// Whether every member that can has the same state, and every lease is over.
    fn is_at_rest(&self) -> bool {
        let Some(core) =
            self.nodes.values().filter_map(|n| n.live.as_ref()).find(|l| l.core.leads().is_some())
        else {
            return false;
        };
        let wanted = (core.core.position(), core.state.visible(), core.core.members());
        core.state.lease_count() == 0
            && self.now > 2_000
            && core.core.members().all.keys().all(|id| {
                self.nodes.get(id).is_none_or(|node| {
                    node.wiped
                        || node.live.as_ref().is_some_and(|live| {
                            (live.core.position(), live.state.visible(), live.core.members()) == wanted
                                && live.state.dump().len() == core.state.dump().len()
                        })
                })
            })
    }

    fn say_how_all_are(&mut self) {
        let how = |(id, node): (&u64, &Node)| match &node.live {
            Some(live) => format!("member {id}: {:?}, {} leases", live.core, live.state.lease_count()),
            None => format!("member {id}: lost: {}, removed: {}", node.wiped, node.removed),
        };
        let lines: Vec<String> = self.nodes.iter().map(how).collect();
        lines.into_iter().for_each(|line| self.say(|| line));
    }

    /// Whether enough voters are left, according to the member that knows most: of those before a change that is under way too.
    ///
    /// A member goes by the voters of what it has applied, not of what is in its log. So until it has applied the end of a
    /// joint step it can neither win an election nor commit anything without a majority of the voters before. The end may be
    /// committed already: then those who knew were removed and have stopped, or lost their disks, and no protocol lets the
    /// others find out, because any majority of the old voters has to include one of the lost, who may have voted for
    /// something else. What counts as lost is only what is lost for ever; a member that is down for another reason now that
    /// there are no more faults has failed, and excuses nobody.
    fn has_majority(&self) -> bool {
        let lives = self.nodes.values().filter_map(|node| node.live.as_ref());
        let Some(newest) = lives.max_by_key(|live| live.core.position().index) else { return false };
        let voters = newest.core.members().all.values().filter(|member| !member.learner);
        let is_left = |id: &u64| self.nodes.get(id).is_some_and(|node| !node.wiped && !node.removed);
        let new: Vec<u64> = voters.map(|member| member.id).collect();
        has_majorities(&new, newest.core.leaving_voters(), is_left)
    }

    fn config(&self, id: u64) -> RaftConfig {
        let members = self.settings.members;
        let mut config = RaftConfig::member(id, members);
        if id > members {
            config.start = Start::Join;
        }
        config.heartbeat_ticks = 2;
        config.max_message_bytes = 600;
        config.keep_entries = 12;
        config.chunk_bytes = 400;
        if self.settings.interrupt_snapshots {
            config.keep_entries = 3;
            config.chunk_bytes = 60;
        }
        if self.settings.lease_reads {
            // Ticks take from 8 to 12 ms of the time that is handed to members: the fastest clock is a quarter ahead.
            config.tick = Duration::from_millis(10);
            config.reads = ReadMode::Lease { drift_percent: 25 };
        }
        config.store = Config { seed: Some(self.seed), ..Config::default() };
        config
    }

    /// Starts the process of a member, on the disk it left.
    fn start(&mut self, id: u64) -> Checked {
        let (config, nonce, now) = (self.config(id), self.rng.u64(..), self.clock());
        let node = self.nodes.entry(id).or_default();
        if node.live.is_some() || node.wiped || node.removed {
            return Ok(());
        }
        let refused =
            |error| Rule::Starts.because(format!("member {id} does not start on its own disk: {error}"));
        let (mut core, state) = Core::load(&node.disk, config, nonce, now).map_err(refused)?;
        self.invariants.one_state(id, &core, &state)?;
        if let Some(mutation) = self.settings.mutation {
            core.mutate(mutation);
        }
        node.disk.plant(self.settings.mutation);
        node.life += 1;
        node.paused = false;
        node.seen.restart();
        let (life, tick) = (node.life, 8 + self.rng.u64(..5));
        let inbox = VecDeque::new();
        node.live = Some(Live { core, state, inbox, syncing: None, numbers: 0, tick });
        self.say(|| format!("member {id} starts"));
        self.at(self.now + tick, Event::Tick(id, life));
        self.drive(id)
    }

    /// Ends the process of a member; it comes back some time later.
    pub(super) fn crash(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.live.take().is_none() {
            return;
        }
        node.disk.crash(&mut self.rng);
        self.report.crashes += 1;
        self.clients.lost(id);
        self.say(|| format!("member {id} crashes"));
        // Some come back while an election goes on, some when it is long over.
        let longest = if self.rng.bool() { 50 } else { 1500 };
        let back = self.now + 5 + self.rng.u64(..longest);
        self.at(back, Event::Restart(id));
    }

    fn tick(&mut self, id: u64, life: u64) -> Checked {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life == life) else { return Ok(()) };
        let Some(live) = &mut node.live else { return Ok(()) };
        let next = self.now + live.tick;
        // A process that stood still does not get the ticks that it missed.
        if !node.paused && !live.inbox.iter().any(|input| matches!(input, Input::Tick)) {
            live.inbox.push_back(Input::Tick);
        }
        self.at(next, Event::Tick(id, life));
        self.drive(id)
    }

    fn client(&mut self, client: usize) -> Checked {
        let next = self.now + 10 + self.rng.u64(..60);
        if self.now < u64::try_from(self.settings.duration.as_millis()).unwrap_or(u64::MAX) {
            self.at(next, Event::Client(client));
        }
        if self.clients.waits(client, self.now) {
            return Ok(());
        }
        let Some(id) = self.any_live() else { return Ok(()) };
        let Some(number) = self.number(id) else { return Ok(()) };
        let life = self.nodes.get(&id).map_or(0, |node| node.life);
        let Some(ask) = self.clients.choose(client, (id, life, number), self.now, &mut self.rng) else {
            return Ok(());
        };
        self.input(
            id,
            match ask {
                Ask::Read => Input::Read(number),
                Ask::Do(command) => Input::Propose(number, command),
            },
        );
        self.drive(id)
    }

    /// A new number for a request to a member.
    fn number(&mut self, id: u64) -> Option<u64> {
        let live = self.nodes.get_mut(&id)?.live.as_mut()?;
        live.numbers += 1;
        Some(live.numbers)
    }

    pub(super) fn propose(&mut self, id: u64, command: Command) {
        if let Some(number) = self.number(id) {
            self.input(id, Input::Propose(number, command));
        }
    }

    pub(super) fn any_live(&mut self) -> Option<u64> {
        let live = |(id, node): (&u64, &Node)| node.live.is_some().then_some(*id);
        let ids: Vec<u64> = self.nodes.iter().filter_map(live).collect();
        self.rng.choice(ids)
    }

    /// Whether there are no more faults.
    pub(super) fn is_calm(&self) -> bool {
        self.now >= u64::try_from(self.settings.duration.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn core(&self, id: u64) -> Option<&Core> {
        Some(&self.nodes.get(&id)?.live.as_ref()?.core)
    }

    /// A member that leads, by its own account.
    pub(super) fn leader(&self) -> Option<u64> {
        let leads = |node: &Node| node.live.as_ref().is_some_and(|live| live.core.leads().is_some());
        self.nodes.iter().find(|(_, node)| leads(node)).map(|(id, _)| *id)
    }

    pub(super) fn members_seen_by(&self, id: u64) -> Option<Vec<MemberInfo>> {
        let live = self.nodes.get(&id)?.live.as_ref()?;
        let members: Vec<MemberInfo> = live.core.members().all.values().cloned().collect();
        (!members.is_empty()).then_some(members)
    }

    pub(super) fn input(&mut self, id: u64, input: Input) {
        if let Some(live) = self.nodes.get_mut(&id).and_then(|node| node.live.as_mut()) {
            live.inbox.push_back(input);
        }
    }

    fn drive_all(&mut self) -> Checked {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.drive(id))
    }

    /// Lets a member do what it can: until it waits for its disk, or has nothing to do.
    fn drive(&mut self, id: u64) -> Checked {
        /// More steps at one moment are an endless loop.
        const STEPS: usize = 10_000;
        let now = self.clock();
        for step in 0.. {
            if step == STEPS {
                return Rule::Runs.broken(format!("member {id} does not come to rest"));
            }
            let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
            let Some(live) = node.live.as_mut().filter(|live| live.syncing.is_none() && !node.paused) else {
                return Ok(());
            };
            live.take_inputs(now);
            let polled = live.core.poll(&mut live.state, now);
            let stopped = |error| Rule::Runs.because(format!("member {id} stops: {error}"));
            let Some(work) = polled.map_err(stopped)? else { break };
            self.invariants.check(id, &live.core, &live.state, &mut node.seen, &work.appended)?;
            self.carry_out(id, work)?;
        }
        self.check_reads_alone()?;
        self.watch(id)?;
        self.stop_if_removed(id);
        Ok(())
    }

    fn check_reads_alone(&self) -> Checked {
        let now = self.clock();
        let lives = self.nodes.iter().filter_map(|(id, node)| Some((*id, node.live.as_ref()?)));
        lives
            .filter_map(|(id, live)| Some((id, live.core.leads_alone(now)?)))
            .try_for_each(|(id, term)| self.invariants.leads_alone(id, term))
    }

    fn carry_out(&mut self, id: u64, mut work: Work) -> Checked {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let life = node.life;
        self.report.snapshots += usize::from(work.replaced);
        self.send(id, std::mem::take(&mut work.send));
        for (number, answer) in std::mem::take(&mut work.answers) {
            self.report.changes += usize::from(matches!(answer, Ok(crate::raft::Answer::Members)));
            self.clients.answer((id, life, number), answer, self.now);
        }
        std::mem::take(&mut work.reads).into_iter().for_each(|number| self.read(id, (id, life, number)));
        if self.settings.mutation == Some(Mutation::AckBeforePersist) {
            self.send(id, std::mem::take(&mut work.after));
        }
        if work.batch.is_empty() {
            self.settle(id, work);
            return Ok(());
        }
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        node.disk.begin(&work.batch)?;
        if let Some(live) = &mut node.live {
            live.syncing = Some(work);
        }
        let slow = if self.rng.u8(..30) == 0 { 150 } else { 0 };
        let done = self.now + 1 + slow + self.rng.u64(..8);
        self.at(done, Event::Synced(id, life));
        Ok(())
    }

    /// What was to be durable is.
    fn settle(&mut self, id: u64, work: Work) {
        self.send(id, work.after);
        if let Some(live) = self.nodes.get_mut(&id).and_then(|node| node.live.as_mut())
            && let Some(ready) = work.ready
        {
            live.core.persisted(ready);
        }
    }

    fn synced(&mut self, id: u64, life: u64) -> Checked {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life == life) else { return Ok(()) };
        let Some(work) = node.live.as_mut().and_then(|live| live.syncing.take()) else { return Ok(()) };
        let fails = std::mem::take(&mut node.fails) || node.full_until > self.now;
        let is_interrupted = self.interrupts(id, &work);
        if is_interrupted && self.rng.bool() {
            self.crash(id);
            return Ok(());
        }
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        if fails && self.settings.mutation != Some(Mutation::IgnoreFailedSync) {
            // No member goes on after that: what is on the disk is open until it is read again.
            self.say(|| format!("member {id}: a sync fails"));
            self.crash(id);
            return Ok(());
        }
        if fails {
            node.disk.lose();
        }
        node.disk.sync();
        // What a snapshot is put in place with says nothing of terms.
        let says_term = work.batch.iter().any(|(key, value)| key == b"rh" && value.is_some());
        if let Some(live) = node.live.as_ref().filter(|_| says_term) {
            node.seen.durable_term = live.core.hard_state().term;
        }
        if is_interrupted {
            self.crash(id);
            return Ok(());
        }
        self.settle(id, work);
        self.drive(id)
    }

    fn send(&mut self, from: u64, frames: Vec<Outgoing>) {
        for Outgoing { to, frame, is_part: _ } in frames {
            for (delay, copy) in self.network.send(from, to, &frame, &mut self.rng) {
                self.at(self.now + delay, Event::Frame(to, copy));
            }
        }
    }

    fn read(&mut self, id: u64, at: (u64, u64, u64)) {
        let Some(key) = self.clients.key_of(at) else { return };
        let Some(live) = self.nodes.get(&id).and_then(|node| node.live.as_ref()) else { return };
        let visible = live.state.visible();
        let Ok(mut scan) = Scan::new(&live.state, RangeRequest::key(key), visible) else { return };
        if scan.step(&live.state, usize::MAX).is_ok() {
            let kv = scan.finish().kvs.pop();
            self.clients.read(at, visible, kv, self.now);
        }
    }

    fn watch(&mut self, id: u64) -> Checked {
        let Some(live) = self.nodes.get(&id).and_then(|node| node.live.as_ref()) else { return Ok(()) };
        for watcher in &mut self.watchers {
            if watcher.at == id {
                watcher.pull(&live.state)?;
            }
            if self.rng.u8(..64) == 0 {
                watcher.at = self.rng.u64(1..=self.newest);
            }
        }
        Ok(())
    }

    fn stop_if_removed(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.live.as_ref().is_some_and(|live| live.core.is_removed() && live.syncing.is_none()) {
            node.removed = true;
            node.live = None;
            self.clients.lost(id);
            self.say(|| format!("member {id} was removed"));
        }
    }
}

/// Whether there is a majority of these voters, and of those that leave, if any do.
pub(super) fn has_majorities(voters: &[u64], leaving: &[u64], is_left: impl Fn(&u64) -> bool) -> bool {
    let most_left = |ids: &[u64]| 2 * ids.iter().filter(|id| is_left(id)).count() > ids.len();
    most_left(voters) && (leaving.is_empty() || most_left(leaving))
}

impl Live {
    fn take_inputs(&mut self, now: Instant) {
        let (core, state) = (&mut self.core, &mut self.state);
        for input in self.inbox.drain(..) {
            match input {
                Input::Tick => core.tick(state, now),
                Input::Frame(frame) => core.step(frame, state, now),
                Input::Read(number) => core.read(number),
                Input::Propose(number, command) => core.propose(number, &command, state, now),
                Input::Transfer(to) => core.transfer_leader(to),
            }
        }
    }
}
