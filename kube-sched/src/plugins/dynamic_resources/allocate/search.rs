//! The search for devices on one node.

use k8s_openapi::api::resource::v1::{AllocationResult, DeviceTaint, DeviceToleration};

use super::super::DeviceFeatures;
use super::constraint::Common;
use super::counters::Left;
use super::needs::{Alternative, Amount, ClaimNeeds};
use super::outcome::{Choice, result};
use super::{Failure, MAX_RESULTS};
use crate::node::NodeInfo;
use crate::snapshot::{Device, Devices, Pool, PoolId, Reachable, Slice};

/// What trying a device costs, in the unit of selectors.
const TRY: u64 = 10;

/// A device that can be reached from the node.
struct Candidate<'a> {
    /// The place of its pool.
    pool: usize,
    slice: &'a Slice,
    device: &'a Device,
    /// Whether a claim of another pod has it.
    taken: bool,
    /// The claims of this search that have it, as bits.
    holders: u64,
}

struct PoolState<'a> {
    id: &'a PoolId,
    pool: &'a Pool,
    left: Option<Left>,
}

/// Whether a device suits, as far as that is known.
#[derive(Clone, Copy)]
enum Verdict {
    Open,
    Suits,
    Unsuitable,
}

pub(super) struct Search<'s, 'a> {
    claims: &'s [ClaimNeeds<'a>],
    features: DeviceFeatures,
    budget: &'s mut u64,
    pools: Vec<PoolState<'a>>,
    candidates: Vec<Candidate<'a>>,
    /// By alternative and candidate.
    verdicts: Vec<Verdict>,
    /// The candidates that suit, of those alternatives that want all of them.
    all: Vec<Vec<usize>>,
    /// The devices of each claim.
    chosen: Vec<Vec<Choice>>,
    /// The alternative of each request of each claim.
    selected: Vec<Vec<usize>>,
    /// The state of each constraint of each claim.
    common: Vec<Vec<Common<'a>>>,
}

/// A request of a claim, by their places, and the alternative that is tried for it.
#[derive(Clone, Copy)]
struct Spot {
    claim: usize,
    request: usize,
    alternative: usize,
}

impl<'s, 'a> Search<'s, 'a> {
    pub(super) fn new(
        devices: &'a Devices,
        claims: &'s [ClaimNeeds<'a>],
        features: DeviceFeatures,
        node: &NodeInfo,
        budget: &'s mut u64,
    ) -> Self {
        let (mut pools, mut candidates) = (Vec::new(), Vec::new());
        for (id, pool) in devices.pools_for(&node.name) {
            let taken = devices.taken_of(id);
            let before = pools.len();
            for slice in pool.slices() {
                let reached = reached(slice, features, node);
                if reached.is_some() && pools.len() == before {
                    let counts = features.partitionable_devices && !pool.counters().is_empty();
                    pools.push(PoolState { id, pool, left: counts.then(|| Left::of(pool, taken)) });
                }
                let candidate = |device: &'a Device| Candidate {
                    pool: before,
                    slice,
                    device,
                    taken: taken.is_some_and(|taken| taken.contains_key(&device.name)),
                    holders: 0,
                };
                candidates.extend(reached.into_iter().flatten().map(candidate));
            }
        }
        let alternatives =
            claims.iter().flat_map(|claim| &claim.requests).map(|r| r.alternatives.len()).sum::<usize>();
        Self {
            verdicts: vec![Verdict::Open; alternatives * candidates.len()],
            all: vec![Vec::new(); alternatives],
            chosen: vec![Vec::new(); claims.len()],
            selected: claims.iter().map(|claim| vec![0; claim.requests.len()]).collect(),
            common: claims.iter().map(|claim| vec![Common::default(); claim.constraints.len()]).collect(),
            claims,
            features,
            budget,
            pools,
            candidates,
        }
    }

    /// Whether there are devices for all claims.
    pub(super) fn run(&mut self) -> Result<bool, Failure> {
        self.count_all()?;
        self.request(0, 0)
    }

    /// Why there may be none, if some pool is at fault.
    pub(super) fn fault_of_pools(&self) -> Option<String> {
        let faulty = self.pools.iter().any(|state| state.pool.fault().is_some());
        faulty.then(|| "invalid resource pools were encountered".to_owned())
    }

    /// The allocations that were found.
    pub(super) fn results(&self) -> Result<Vec<AllocationResult>, Failure> {
        let claims = self.claims.iter().zip(&self.chosen).zip(&self.selected);
        let allocation = |((needs, chosen), selected): ((&ClaimNeeds<'a>, &Vec<Choice>), &Vec<usize>)| {
            let place = |choice: &Choice| {
                let candidate = self.candidates.get(choice.candidate)?;
                Some((*choice, self.pools.get(candidate.pool)?.id, candidate.slice, candidate.device))
            };
            let chosen: Vec<_> = chosen.iter().filter_map(place).collect();
            result(needs, selected, &chosen, self.features).map_err(Failure::Fatal)
        };
        claims.map(allocation).collect()
    }

    /// Finds out how many devices "all" are, and refuses claims that want too many.
    fn count_all(&mut self) -> Result<(), Failure> {
        let claims = self.claims;
        for needs in claims {
            let mut least = 0_usize;
            for request in &needs.requests {
                let mut sizes = Vec::with_capacity(request.alternatives.len());
                for alternative in &request.alternatives {
                    sizes.push(match alternative.amount {
                        Amount::Count(count) => count,
                        Amount::All => self.find_all(needs, alternative)?,
                    });
                }
                least = least.saturating_add(sizes.into_iter().min().unwrap_or_default());
            }
            if least > MAX_RESULTS {
                let reason =
                    format!("number of requested devices {least} exceeds the claim limit of {MAX_RESULTS}");
                return Err(Failure::Fatal(format!("claim {}: {reason}", needs.key)));
            }
        }
        Ok(())
    }

    fn find_all(&mut self, needs: &ClaimNeeds<'a>, alternative: &Alternative<'a>) -> Result<usize, Failure> {
        for PoolState { id, pool, .. } in &self.pools {
            let state = match (pool.is_complete(), pool.fault()) {
                (true, None) => continue,
                (false, _) => "currently being updated",
                (true, Some(_)) => "currently invalid",
            };
            let (claim, request) = (&needs.key, alternative.short_name());
            let wish = format!("claim {claim}, request {request}: asks for all devices");
            return Err(Failure::Fatal(format!("{wish}, but resource pool {id} is {state}")));
        }
        let mut all = Vec::new();
        for candidate in 0..self.candidates.len() {
            if self.suits(alternative, candidate)? {
                all.push(candidate);
            }
        }
        let size = all.len();
        if let Some(slot) = self.all.get_mut(alternative.number) {
            *slot = all;
        }
        Ok(size)
    }

    fn suits(&mut self, alternative: &Alternative<'a>, candidate: usize) -> Result<bool, Failure> {
        let place = alternative.number * self.candidates.len() + candidate;
        let verdict = &mut self.verdicts[place];
        match verdict {
            Verdict::Suits => return Ok(true),
            Verdict::Unsuitable => return Ok(false),
            Verdict::Open => {}
        }
        let device = self.candidates[candidate].device;
        let usable = !device.has_binding_conditions
            && (self.features.partitionable_devices || device.consumes.is_empty())
            && self.pools[self.candidates[candidate].pool].pool.fault().is_none();
        let suits = usable
            && alternative.suits(&device.facts, self.budget).map_err(|reason| match *self.budget {
                0 => Failure::Exhausted,
                _ => Failure::Fatal(reason),
            })?;
        *verdict = if suits { Verdict::Suits } else { Verdict::Unsuitable };
        Ok(suits)
    }

    fn pay(&mut self, cost: u64) -> Result<(), Failure> {
        *self.budget = self.budget.checked_sub(cost).ok_or(Failure::Exhausted)?;
        Ok(())
    }

    /// Meets this request of this claim and all that come after it.
    fn request(&mut self, claim: usize, request: usize) -> Result<bool, Failure> {
        let claims = self.claims;
        let Some(needs) = claims.get(claim) else { return Ok(true) };
        let Some(wanted) = needs.requests.get(request) else { return self.request(claim + 1, 0) };
        for (place, alternative) in wanted.alternatives.iter().enumerate() {
            let spot = Spot { claim, request, alternative: place };
            let amount = match alternative.amount {
                Amount::Count(count) => count,
                Amount::All => self.all[alternative.number].len(),
            };
            let none = alternative.amount == Amount::All && amount == 0;
            if none || self.chosen[claim].len() + amount > MAX_RESULTS {
                continue;
            }
            self.selected[claim][request] = place;
            let found = match alternative.amount {
                Amount::Count(count) => self.some(spot, alternative, 0, count)?,
                Amount::All => self.every(spot, alternative, 0)?,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes `missing` more devices from the candidate `from` on.
    fn some(
        &mut self,
        spot: Spot,
        alternative: &Alternative<'a>,
        from: usize,
        missing: usize,
    ) -> Result<bool, Failure> {
        if missing == 0 {
            return self.request(spot.claim, spot.request + 1);
        }
        // The last ones must be left for those that come after this one.
        for candidate in from..(self.candidates.len() + 1).saturating_sub(missing) {
            self.pay(1)?;
            let free = self.is_free(spot, alternative, candidate);
            if !free || !self.suits(alternative, candidate)? || !self.take(spot, alternative, candidate)? {
                continue;
            }
            if self.some(spot, alternative, candidate + 1, missing - 1)? {
                return Ok(true);
            }
            self.give_back(spot, alternative, candidate);
        }
        Ok(false)
    }

    /// Takes every device that suits, from a place in their list on.
    fn every(&mut self, spot: Spot, alternative: &Alternative<'a>, from: usize) -> Result<bool, Failure> {
        let Some(candidate) = self.all[alternative.number].get(from).copied() else {
            return self.request(spot.claim, spot.request + 1);
        };
        if !self.is_free(spot, alternative, candidate) || !self.take(spot, alternative, candidate)? {
            return Ok(false);
        }
        if self.every(spot, alternative, from + 1)? {
            return Ok(true);
        }
        self.give_back(spot, alternative, candidate);
        Ok(false)
    }

    /// Who has administrative access only must not get a device twice in a claim.
    fn is_free(&self, spot: Spot, alternative: &Alternative<'a>, candidate: usize) -> bool {
        let candidate = &self.candidates[candidate];
        if alternative.admin_access {
            candidate.holders & bit(spot.claim) == 0
        } else {
            !candidate.taken && candidate.holders == 0
        }
    }

    /// Takes a device that is free and suits, unless its taints, the counters of its pool or a constraint forbid it.
    fn take(&mut self, spot: Spot, alternative: &Alternative<'a>, candidate: usize) -> Result<bool, Failure> {
        self.pay(TRY)?;
        let (pool, device) = (self.candidates[candidate].pool, self.candidates[candidate].device);
        if self.features.device_taints && !tolerated(&device.taints, alternative.tolerations) {
            return Ok(false);
        }
        let counts = !device.consumes.is_empty();
        if counts && !self.pools[pool].left.as_mut().is_some_and(|left| left.take(device)) {
            return Ok(false);
        }
        let needs = &self.claims[spot.claim];
        for (place, constraint) in needs.constraints.iter().enumerate() {
            let common = &mut self.common[spot.claim][place];
            if constraint.concerns(alternative) && !common.add(constraint, &device.facts) {
                if alternative.amount == Amount::All {
                    return Err(Failure::Fatal(self.contradiction(spot, alternative, candidate)));
                }
                self.relax(spot, alternative, place);
                self.restore(pool, device);
                return Ok(false);
            }
        }
        self.candidates[candidate].holders |= bit(spot.claim);
        self.chosen[spot.claim].push(Choice {
            candidate,
            request: spot.request,
            alternative: spot.alternative,
        });
        Ok(true)
    }

    /// What is wrong with a claim of all devices that may not go together.
    fn contradiction(&self, spot: Spot, alternative: &Alternative<'a>, candidate: usize) -> String {
        let (claim, request) = (&self.claims[spot.claim].key, alternative.short_name());
        let Candidate { pool, device, .. } = &self.candidates[candidate];
        let (pool, device) = (self.pools[*pool].id, &device.name);
        format!(
            "claim {claim}, request {request}: cannot add device {pool}/{device} because a claim constraint would not be satisfied"
        )
    }

    fn give_back(&mut self, spot: Spot, alternative: &Alternative<'a>, candidate: usize) {
        self.chosen[spot.claim].pop();
        self.candidates[candidate].holders &= !bit(spot.claim);
        self.relax(spot, alternative, self.claims[spot.claim].constraints.len());
        let (pool, device) = (self.candidates[candidate].pool, self.candidates[candidate].device);
        self.restore(pool, device);
    }

    /// Takes a device out of the first constraints.
    fn relax(&mut self, spot: Spot, alternative: &Alternative<'a>, number: usize) {
        let constraints = self.claims[spot.claim].constraints.iter().zip(&mut self.common[spot.claim]);
        for (constraint, common) in constraints.take(number) {
            if constraint.concerns(alternative) {
                common.remove();
            }
        }
    }

    fn restore(&mut self, pool: usize, device: &Device) {
        if let Some(left) = &mut self.pools[pool].left {
            left.give_back(device);
        }
    }
}

/// A pod cannot have as many claims as there are bits; those beyond would share one, which is stricter than need be.
fn bit(claim: usize) -> u64 {
    1 << claim.min(63)
}

/// The devices of a slice that can be reached from the node; `None` if the slice has nothing to do with it.
fn reached<'a>(slice: &'a Slice, features: DeviceFeatures, node: &NodeInfo) -> Option<Vec<&'a Device>> {
    if slice.reachable != Reachable::PerDevice {
        return slice.reachable.from_node(node).then(|| slice.devices.iter().collect());
    }
    let reached = slice.devices.iter().filter(|device| device.reachable.from_node(node));
    let reached: Vec<_> = reached.filter(|_| features.partitionable_devices).collect();
    (!reached.is_empty()).then_some(reached)
}

fn tolerated(taints: &[DeviceTaint], tolerations: &[DeviceToleration]) -> bool {
    let harmful = taints.iter().filter(|taint| taint.effect != "None");
    harmful.into_iter().all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let matches = |wanted: Option<&String>, actual: &str| wanted.is_none_or(|w| w.is_empty() || w == actual);
    let value = |value: Option<&String>| value.cloned().unwrap_or_default();
    matches(toleration.effect.as_ref(), &taint.effect)
        && matches(toleration.key.as_ref(), &taint.key)
        && match toleration.operator.as_deref().unwrap_or_default() {
            "" | "Equal" => value(toleration.value.as_ref()) == value(taint.value.as_ref()),
            "Exists" => true,
            _ => false,
        }
}
