//! What goes wrong, and what operators do.

use super::Variety;
use super::world::{Event, Input, World};
use crate::raft::{Command, MemberChange, MemberInfo};

/// A group does not grow beyond this, however often members are replaced.
const MOST: usize = 5;

impl World {
    /// Lets something go wrong, or right again.
    pub(super) fn fault(&mut self) {
        if self.settings.removes_leaders {
            return self.remove_leader();
        }
        if self.settings.variety == Variety::Wide && self.rng.u8(..16) == 0 {
            return self.fill_disk();
        }
        match self.rng.u8(..16) {
            0..3 => self.crash_one(),
            3 => self.crash_all(),
            4 | 5 => self.split(true),
            6 => self.split(false),
            7..10 => {
                self.say(|| "the network heals".into());
                self.network.heal();
            }
            10 => {
                self.network.loss = self.rng.u16(..300);
                self.network.delay = 5 + self.rng.u64(..80);
            }
            11 => self.pause_one(),
            12 => self.fail_disk(),
            13 => self.let_another_lead(),
            14 => self.change_members(),
            _ => self.wipe_one(),
        }
    }

    /// The leader of a pair is removed, or who is alone gets another beside it, and messages are lost.
    fn remove_leader(&mut self) {
        self.network.loss = self.rng.u16(..600);
        let Some(leader) = self.leader() else { return };
        let Some(members) = self.members_seen_by(leader) else { return };
        let change = match members.len() {
            2.. => MemberChange::Remove(leader),
            _ => MemberChange::Add(self.new_member(false)),
        };
        self.say(|| format!("member {leader} is asked for {change:?}"));
        self.propose(leader, Command::Members(vec![change]));
    }

    fn crash_one(&mut self) {
        if let Some(id) = self.any_live() {
            self.crash(id);
        }
    }

    fn crash_all(&mut self) {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.crash(id));
    }

    /// Two sides that do not hear each other, or of which only one hears the other.
    fn split(&mut self, both_ways: bool) {
        self.network.heal();
        // A leader alone is what shows whether it answers longer than it may.
        let alone = if self.settings.lease_reads { self.leader() } else { None };
        let (left, right): (Vec<u64>, Vec<u64>) =
            self.nodes.keys().copied().partition(|id| alone.map_or_else(|| self.rng.bool(), |it| *id == it));
        self.say(|| format!("cut: {left:?} and {right:?}, both ways: {both_ways}"));
        for a in &left {
            for b in &right {
                self.network.cut(*a, *b);
                if both_ways {
                    self.network.cut(*b, *a);
                }
            }
        }
    }

    fn pause_one(&mut self) {
        let Some(id) = self.any_live() else { return };
        let until = self.now + 100 + self.rng.u64(..1500);
        self.say(|| format!("member {id} stands still"));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.paused = true;
        }
        self.at(until, Event::Resume(id));
    }

    fn fail_disk(&mut self) {
        if let Some(id) = self.any_live()
            && let Some(node) = self.nodes.get_mut(&id)
        {
            node.fails = true;
        }
    }

    /// There is no space for some time, in which a member that stopped for it comes back several times.
    fn fill_disk(&mut self) {
        let until = self.now + 200 + self.rng.u64(..1500);
        if let Some(id) = self.any_live()
            && let Some(node) = self.nodes.get_mut(&id)
        {
            node.full_until = until;
            self.say(|| format!("member {id}: the disk is full until {until} ms"));
        }
    }

    fn let_another_lead(&mut self) {
        if let (Some(id), Some(to)) = (self.any_live(), self.any_live()) {
            self.say(|| format!("member {id} is asked to let {to} lead"));
            self.input(id, Input::Transfer(to));
        }
    }

    /// An operator adds a learner, promotes one, removes a member, or replaces one in a single step.
    fn change_members(&mut self) {
        let Some(id) = self.any_live() else { return };
        let Some(members) = self.members_seen_by(id) else { return };
        let learners = members.iter().filter(|m| m.learner).map(|m| m.id);
        let lost = members.iter().map(|m| m.id).find(|id| self.nodes.get(id).is_none_or(|n| n.wiped));
        let any = |rng: &mut fastrand::Rng| members.get(rng.usize(..members.len())).map(|m| m.id);
        let full = members.len() >= MOST;
        let mut changes = Vec::new();
        if let Some(lost) = lost {
            changes.push(MemberChange::Remove(lost));
            changes.push(MemberChange::Add(self.new_member(true)));
        } else if let Some(learner) = learners.min() {
            changes.push(MemberChange::Promote(learner));
            if full {
                changes.extend(any(&mut self.rng).filter(|id| *id != learner).map(MemberChange::Remove));
            }
        } else if full || (members.len() > 3 && self.rng.bool()) {
            changes.extend(any(&mut self.rng).map(MemberChange::Remove));
        } else {
            let learner = self.rng.bool();
            changes.push(MemberChange::Add(self.new_member(learner)));
        }
        self.say(|| format!("member {id} is asked for {changes:?}"));
        self.propose(id, Command::Members(changes));
    }

    fn new_member(&mut self, learner: bool) -> MemberInfo {
        self.newest += 1;
        let id = self.newest;
        self.at(self.now + 100, Event::Restart(id));
        MemberInfo { learner, ..MemberInfo::new(id) }
    }

    /// A disk is lost for ever. Only one at a time, for a group survives no more.
    fn wipe_one(&mut self) {
        let members = self.nodes.len() as u64;
        if members < self.settings.members || self.nodes.values().any(|node| node.wiped) {
            return;
        }
        let Some(id) = self.any_live() else { return };
        let voters = |members: Vec<MemberInfo>| members.iter().filter(|member| !member.learner).count();
        if self.members_seen_by(id).map_or(0, voters) < 3 {
            return;
        }
        self.say(|| format!("member {id} loses its disk"));
        self.crash(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.wiped = true;
            node.disk.wipe();
        }
    }
}
