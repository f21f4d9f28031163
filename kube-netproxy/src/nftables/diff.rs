//! What the kernel holds, as we know it, and the least change to what it should hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::chain::{Chain, Class, Hide, LOCAL_SLOTS};
use super::element::{Elements, Entry, Step, encode_chain, encode_hairpin};
use super::expr::Verdict;
use super::layout::{Layout, map};
use super::object::{Operation, Writer};
use crate::netlink::Batch;
use crate::{Backend, Config, Destination, Family, Frontend, FrontendKey, Masquerade, Target};

/// A frontend and the slots its endpoints are in.
#[derive(Debug, Clone)]
struct Placed {
    frontend: Arc<Frontend>,
    cluster: Vec<Backend>,
    local: Vec<Backend>,
}

/// One wanted change.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Frontend(FrontendKey, Option<Arc<Frontend>>),
    LocalEndpoint(IpAddr, bool),
}

impl Wanted {
    pub(super) fn family(&self) -> Family {
        match self {
            Self::Frontend(key, _) => key.destination.family(),
            Self::LocalEndpoint(address, _) => Family::of(*address),
        }
    }
}

/// Our table of one family, as the kernel holds it.
#[derive(Debug)]
pub(super) struct Table {
    layout: Layout,
    /// The table is in the kernel.
    exists: bool,
    frontends: HashMap<FrontendKey, Placed>,
    hairpin: BTreeSet<IpAddr>,
    chains: BTreeMap<Step, u32>,
    classes: BTreeSet<Class>,
}

/// How many elements a change adds and removes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) added: usize,
    pub(super) removed: usize,
}

/// A change under way; it becomes the state when the kernel took it.
#[derive(Debug, Default)]
struct Plan {
    classes: Vec<Class>,
    chains: Vec<(Step, u32)>,
    removed: BTreeMap<&'static str, Elements>,
    added: BTreeMap<&'static str, Elements>,
}

impl Table {
    pub(super) fn new(family: Family, config: &Config) -> Self {
        Self {
            layout: Layout::new(family, config),
            exists: false,
            frontends: HashMap::new(),
            hairpin: BTreeSet::new(),
            chains: BTreeMap::new(),
            classes: BTreeSet::new(),
        }
    }

    /// Whether the kernel holds the table.
    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    /// Writes the change into the batch and takes it for done; after a failure the table has to be thrown away.
    pub(super) fn change(&mut self, wanted: &[Wanted], batch: &mut Batch) -> Cost {
        let mut writer = Writer { batch, family: self.layout.family };
        if !self.exists {
            if wanted.is_empty() {
                return Cost::default();
            }
            self.create(&mut writer);
        }
        let mut plan = Plan::default();
        for change in wanted {
            match change {
                Wanted::Frontend(key, frontend) => self.frontend(*key, frontend.clone(), &mut plan),
                Wanted::LocalEndpoint(address, present) => self.local_endpoint(*address, *present, &mut plan),
            }
        }
        plan.write(&self.layout, &mut writer)
    }

    /// Deletes what an earlier process left and makes the empty table, all in the same transaction.
    fn create(&mut self, writer: &mut Writer<'_>) {
        writer.table();
        writer.delete_table();
        writer.table();
        for (id, shape) in (1..).zip(self.layout.maps()) {
            writer.map(&shape, id);
        }
        let chains = self.layout.chains();
        for chain in &chains {
            writer.chain(chain.name, chain.hook);
        }
        for chain in &chains {
            chain.rules.iter().for_each(|rule| writer.rule(chain.name, rule));
        }
        self.exists = true;
    }

    /// Deletes the table, whether it exists or not.
    pub(super) fn destroy(family: Family, batch: &mut Batch) {
        let mut writer = Writer { batch, family };
        writer.table();
        writer.delete_table();
    }

    fn frontend(&mut self, key: FrontendKey, wanted: Option<Arc<Frontend>>, plan: &mut Plan) {
        let old = self.frontends.remove(&key);
        let new = wanted.map(|frontend| Placed::new(frontend, old.as_ref()));
        let before = old.map(|placed| placed.entries(&key)).unwrap_or_default();
        let after = new.as_ref().map(|placed| placed.entries(&key)).unwrap_or_default();
        for entry in before.iter().filter(|entry| after.binary_search(entry).is_err()) {
            plan.removed(entry.map()).push(|out| entry.encode(&key, 0, false, out));
        }
        for entry in after.iter().filter(|entry| before.binary_search(entry).is_err()) {
            let chain = entry.chain().map_or(0, |chain| self.chain(chain, plan));
            plan.added(entry.map()).push(|out| entry.encode(&key, chain, true, out));
        }
        if let Some(new) = new {
            self.frontends.insert(key, new);
        }
    }

    fn local_endpoint(&mut self, address: IpAddr, present: bool, plan: &mut Plan) {
        if present && self.hairpin.insert(address) {
            plan.added(map::HAIRPIN).push(|out| encode_hairpin(address, out));
        } else if !present && self.hairpin.remove(&address) {
            plan.removed(map::HAIRPIN).push(|out| encode_hairpin(address, out));
        }
    }

    /// The number of a chain, which is made when it is first needed. Chains stay: there are few of them, and making one
    /// lets the kernel check the whole table for loops.
    fn chain(&mut self, chain: Step, plan: &mut Plan) -> u32 {
        let next = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
        if let (_, Verdict::Goto(Chain::Balance(class))) = chain
            && self.classes.insert(class)
        {
            plan.classes.push(class);
        }
        *self.chains.entry(chain).or_insert_with(|| {
            plan.chains.push((chain, next));
            next
        })
    }

    /// Everything the kernel holds for which there is no wish in `wanted`.
    pub(super) fn surplus(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        let mut keys = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for change in wanted {
            match change {
                Wanted::Frontend(key, _) => drop(keys.insert(*key)),
                Wanted::LocalEndpoint(address, _) => drop(addresses.insert(*address)),
            }
        }
        let frontends = self.frontends.keys().filter(|key| !keys.contains(*key));
        let hairpins = self.hairpin.iter().filter(|address| !addresses.contains(*address));
        frontends
            .map(|key| Wanted::Frontend(*key, None))
            .chain(hairpins.map(|address| Wanted::LocalEndpoint(*address, false)))
            .collect()
    }
}

impl Placed {
    fn new(frontend: Arc<Frontend>, old: Option<&Self>) -> Self {
        let local = frontend.local.as_ref().map(Target::backends).unwrap_or_default();
        Self {
            cluster: place(old.map_or(&[], |old| &old.cluster), frontend.target.backends()),
            local: place(old.map_or(&[], |old| &old.local), local),
            frontend,
        }
    }

    /// The elements, sorted.
    fn entries(&self, key: &FrontendKey) -> Vec<Entry> {
        let node_port = matches!(key.destination, Destination::NodePort(_));
        let inside = self.verdict(node_port);
        let mut entries = match &self.frontend.local {
            None => vec![Entry::Service(inside)],
            Some(local) => vec![
                Entry::Service(Verdict::Goto(Chain::Origin { node_port })),
                Entry::Inside(inside),
                Entry::Outside(self.outside(local, node_port)),
            ],
        };
        entries.extend(slots(&self.cluster, 0));
        entries.extend(slots(&self.local, LOCAL_SLOTS));
        if self.frontend.affinity.is_some() {
            let both: BTreeSet<_> = self.cluster.iter().chain(&self.local).collect();
            entries.extend(both.into_iter().map(|backend| Entry::Sticky(*backend)));
        }
        entries.sort_unstable();
        entries
    }

    fn verdict(&self, node_port: bool) -> Verdict<Chain> {
        let hide = match self.frontend.masquerade {
            Masquerade::Outside => Hide::Outsiders,
            Masquerade::Always => Hide::Everybody,
        };
        self.balance(&self.frontend.target, self.cluster.len(), false, node_port, hide)
    }

    fn outside(&self, target: &Target, node_port: bool) -> Verdict<Chain> {
        self.balance(target, self.local.len(), true, node_port, Hide::Nobody)
    }

    fn balance(
        &self,
        target: &Target,
        endpoints: usize,
        local: bool,
        node_port: bool,
        hide: Hide,
    ) -> Verdict<Chain> {
        match target {
            Target::Reject => Verdict::Goto(Chain::Reject),
            Target::Drop => Verdict::Drop,
            Target::Balance(_) => Verdict::Goto(Chain::Balance(Class {
                endpoints: u32::try_from(endpoints).unwrap_or(LOCAL_SLOTS),
                local,
                node_port,
                hide,
                affinity: self.frontend.affinity,
            })),
        }
    }
}

fn slots(backends: &[Backend], first: u32) -> impl Iterator<Item = Entry> {
    (first..).zip(backends).map(|(slot, backend)| Entry::Endpoint(slot, *backend))
}

/// Gives every endpoint a slot, moving as few as possible. More endpoints than there are slots are left out.
fn place(old: &[Backend], wanted: &[Backend]) -> Vec<Backend> {
    let wanted = wanted.get(..LOCAL_SLOTS as usize).unwrap_or(wanted);
    let mut slots: Vec<Option<Backend>> = vec![None; wanted.len()];
    let mut placed = BTreeSet::new();
    for (slot, backend) in slots.iter_mut().zip(old) {
        if wanted.binary_search(backend).is_ok() {
            placed.insert(*backend);
            *slot = Some(*backend);
        }
    }
    let mut rest = wanted.iter().filter(|backend| !placed.contains(*backend)).copied();
    slots.into_iter().filter_map(|slot| slot.or_else(|| rest.next())).collect()
}

impl Plan {
    fn removed(&mut self, map: &'static str) -> &mut Elements {
        self.removed.entry(map).or_default()
    }

    fn added(&mut self, map: &'static str) -> &mut Elements {
        self.added.entry(map).or_default()
    }

    /// Removals come first, as a key that gets other data is removed and added.
    fn write(mut self, layout: &Layout, writer: &mut Writer<'_>) -> Cost {
        self.write_chains(layout, writer);
        for (map, elements) in &self.removed {
            elements.write(Operation::DeleteElements, map, writer);
        }
        for (map, elements) in &self.added {
            elements.write(Operation::NewElements, map, writer);
        }
        Cost {
            added: self.added.values().map(|elements| elements.count).sum(),
            removed: self.removed.values().map(|elements| elements.count).sum(),
        }
    }

    fn write_chains(&mut self, layout: &Layout, writer: &mut Writer<'_>) {
        for class in &self.classes {
            let name = class.to_string();
            writer.chain(&name, None);
            class.rules(layout).iter().for_each(|rule| writer.rule(&name, rule));
        }
        for ((map, target), number) in std::mem::take(&mut self.chains) {
            let target = match target {
                Verdict::Drop => Verdict::Drop,
                Verdict::Jump(chain) | Verdict::Goto(chain) => Verdict::Goto(chain.to_string()),
            };
            self.added(map).push(|out| encode_chain(number, &target, out));
        }
    }
}
