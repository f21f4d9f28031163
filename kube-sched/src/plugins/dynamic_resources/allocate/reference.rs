//! Allocation by trying every set of devices for every request, and looking at the whole at the end.

use std::collections::BTreeMap;

/// A node's devices and a pod's claims, in numbers.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) devices: Vec<DeviceShape>,
    pub(super) claims: Vec<ClaimShape>,
    /// What there is of the counter that devices share; `None` if nothing is counted.
    pub(super) counter: Option<i64>,
    pub(super) taints_count: bool,
}

#[derive(Debug, Clone)]
pub(super) struct DeviceShape {
    pub(super) model: &'static str,
    pub(super) numa: Option<i64>,
    pub(super) taken: bool,
    pub(super) tainted: bool,
    pub(super) consumes: i64,
}

#[derive(Debug, Clone)]
pub(super) struct ClaimShape {
    /// The alternatives of each request.
    pub(super) requests: Vec<Vec<Wish>>,
    /// The requests whose devices must be of one NUMA node; `None` if there is no such constraint, empty for all.
    pub(super) aligned: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Zero means all.
    pub(super) count: usize,
    pub(super) wanted: Wanted,
    pub(super) admin: bool,
    pub(super) tolerates: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Model,
    Numa,
}

impl Wanted {
    pub(super) fn suits(self, device: &DeviceShape) -> bool {
        match self {
            Self::Any => true,
            Self::Model => device.model == "a",
            Self::Numa => device.numa == Some(0),
        }
    }
}

/// For each request of each claim, in their order: the alternative and the devices.
pub(super) type Solution = Vec<Vec<(usize, Vec<usize>)>>;

impl Problem {
    /// Whether there is any solution.
    pub(super) fn is_solvable(&self) -> bool {
        let spots: Vec<_> = (0..self.claims.len())
            .flat_map(|c| (0..self.claims[c].requests.len()).map(move |r| (c, r)))
            .collect();
        self.extend(&spots, &mut self.claims.iter().map(|_| Vec::new()).collect())
    }

    fn extend(&self, spots: &[(usize, usize)], solution: &mut Solution) -> bool {
        let Some(((claim, request), rest)) = spots.split_first() else { return self.accepts(solution) };
        for alternative in 0..self.claims[*claim].requests[*request].len() {
            for set in 0_u32..1 << self.devices.len() {
                let devices = (0..self.devices.len()).filter(|device| set & 1 << device != 0).collect();
                solution[*claim].push((alternative, devices));
                let found = self.extend(rest, solution);
                solution[*claim].pop();
                if found {
                    return true;
                }
            }
        }
        false
    }

    /// Whether a solution keeps all the rules.
    pub(super) fn accepts(&self, solution: &Solution) -> bool {
        let mut before: Vec<(usize, usize)> = Vec::new();
        let mut used =
            self.devices.iter().filter(|device| device.taken).map(|device| device.consumes).sum::<i64>();
        for (claim, requests) in solution.iter().enumerate() {
            for (request, (alternative, devices)) in requests.iter().enumerate() {
                let wish = self.claims[claim].requests[request][*alternative];
                if !self.is_amount(wish, devices) {
                    return false;
                }
                for device in devices {
                    let shape = &self.devices[*device];
                    let held = |by: Option<usize>| {
                        before.iter().any(|(c, d)| d == device && by.is_none_or(|claim| claim == *c))
                    };
                    let free = if wish.admin { !held(Some(claim)) } else { !shape.taken && !held(None) };
                    let tolerable = !self.taints_count || !shape.tainted || wish.tolerates;
                    if !free || !tolerable || !wish.wanted.suits(shape) {
                        return false;
                    }
                    before.push((claim, *device));
                    used += shape.consumes;
                    if shape.consumes > 0 && self.counter.is_some_and(|counter| used > counter) {
                        return false;
                    }
                }
            }
            if !self.is_aligned(claim, requests) {
                return false;
            }
        }
        true
    }

    fn is_amount(&self, wish: Wish, devices: &[usize]) -> bool {
        let all = (0..self.devices.len()).filter(|device| wish.wanted.suits(&self.devices[*device])).count();
        if wish.count == 0 { devices.len() == all && all > 0 } else { devices.len() == wish.count }
    }

    fn is_aligned(&self, claim: usize, requests: &[(usize, Vec<usize>)]) -> bool {
        let Some(concerned) = &self.claims[claim].aligned else { return true };
        let mut nodes: BTreeMap<Option<i64>, usize> = BTreeMap::new();
        for (request, (_, devices)) in requests.iter().enumerate() {
            if concerned.is_empty() || concerned.contains(&request) {
                devices.iter().for_each(|device| *nodes.entry(self.devices[*device].numa).or_default() += 1);
            }
        }
        nodes.is_empty() || nodes.len() == 1 && !nodes.contains_key(&None)
    }
}
