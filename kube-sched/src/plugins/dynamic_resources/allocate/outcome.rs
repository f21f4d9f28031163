//! What is written about devices that were found.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::api::resource::v1::{
    AllocationResult, DeviceAllocationConfiguration, DeviceAllocationResult, DeviceRequestAllocationResult,
};

use super::super::DeviceFeatures;
use super::needs::{Alternative, ClaimNeeds};
use crate::snapshot::{Device, PoolId, Reachable, Slice};

/// A device for a request of a claim, by their places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) candidate: usize,
    pub(super) request: usize,
    pub(super) alternative: usize,
}

/// A choice, and the device that it is.
pub(super) type Chosen<'a> = (Choice, &'a PoolId, &'a Slice, &'a Device);

pub(super) fn result(
    needs: &ClaimNeeds<'_>,
    selected: &[usize],
    chosen: &[Chosen<'_>],
    features: DeviceFeatures,
) -> Result<AllocationResult, String> {
    let results = chosen.iter().filter_map(|(choice, pool, _, device)| {
        let alternative = needs.requests.get(choice.request)?.alternatives.get(choice.alternative)?;
        let tolerations = (features.device_taints && !alternative.tolerations.is_empty())
            .then_some(alternative.tolerations);
        Some(DeviceRequestAllocationResult {
            request: alternative.name(),
            driver: pool.driver.to_string(),
            pool: pool.name.to_string(),
            device: device.name.to_string(),
            admin_access: alternative.admin_access.then_some(true),
            tolerations: tolerations.map(<[_]>::to_vec),
            ..DeviceRequestAllocationResult::default()
        })
    });
    let (results, config): (Vec<_>, _) = (results.collect(), configuration(needs, selected));
    let devices = DeviceAllocationResult {
        results: Some(results).filter(|all| !all.is_empty()),
        config: Some(config).filter(|all| !all.is_empty()),
    };
    let fault = |reason| format!("create NodeSelector for claim {}: {reason}", needs.key);
    Ok(AllocationResult {
        allocation_timestamp: None,
        devices: Some(devices),
        node_selector: node_selector(chosen).map_err(fault)?,
    })
}

/// The configuration of the classes, each once and with the requests that use it, and then that of the claim.
fn configuration(needs: &ClaimNeeds<'_>, selected: &[usize]) -> Vec<DeviceAllocationConfiguration> {
    let taken = needs.requests.iter().zip(selected);
    let taken: Vec<_> = taken.filter_map(|(request, place)| request.alternatives.get(*place)).collect();
    let mut requests_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let class_of =
        |alternative: &Alternative<'_>| alternative.class.metadata.name.clone().unwrap_or_default();
    let names: Vec<_> = taken.iter().map(|alternative| class_of(alternative)).collect();
    for (name, alternative) in names.iter().zip(&taken) {
        requests_of.entry(name).or_default().push(alternative.name());
    }
    let mut all = Vec::new();
    for (name, alternative) in names.iter().zip(&taken) {
        let Some(requests) = requests_of.remove(name.as_str()) else { continue };
        all.extend(alternative.class.spec.config.iter().flatten().map(|config| {
            DeviceAllocationConfiguration {
                opaque: config.opaque.clone(),
                requests: Some(requests.clone()),
                source: "FromClass".to_owned(),
            }
        }));
    }
    let config = needs.claim.spec.devices.iter().flat_map(|devices| devices.config.iter().flatten());
    all.extend(config.flat_map(|config| {
        let requests = config.requests.as_deref().unwrap_or_default();
        let uses = taken.iter().filter(|alternative| alternative.is_meant_by(requests)).count();
        let times = if requests.is_empty() { 1 } else { uses };
        let entry = DeviceAllocationConfiguration {
            opaque: config.opaque.clone(),
            requests: config.requests.clone(),
            source: "FromClaim".to_owned(),
        };
        std::iter::repeat_n(entry, times)
    }));
    all
}

/// The nodes from which all of the devices can be reached; `None` if that is from all.
fn node_selector(chosen: &[Chosen<'_>]) -> Result<Option<NodeSelector>, String> {
    let mut all = NodeSelectorTerm::default();
    for (_, _, slice, device) in chosen {
        let reachable =
            if slice.reachable == Reachable::PerDevice { &device.reachable } else { &slice.reachable };
        let selector = match reachable {
            Reachable::Node(name) => return Ok(Some(only(name))),
            Reachable::Selector(selector) => selector,
            _ => continue,
        };
        match selector.node_selector_terms.as_slice() {
            [] => {}
            [term] => {
                add(&mut all.match_fields, term.match_fields.as_deref());
                add(&mut all.match_expressions, term.match_expressions.as_deref());
            }
            terms => {
                return Err(format!("unsupported ResourceSlice.NodeSelector with {} terms", terms.len()));
            }
        }
    }
    let any = all.match_fields.is_some() || all.match_expressions.is_some();
    Ok(any.then(|| NodeSelector { node_selector_terms: vec![all] }))
}

fn only(node: &str) -> NodeSelector {
    let name = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_expressions: None, match_fields: Some(vec![name]) };
    NodeSelector { node_selector_terms: vec![term] }
}

/// Adds the requirements that are not there yet, whatever the order of their values.
fn add(all: &mut Option<Vec<NodeSelectorRequirement>>, more: Option<&[NodeSelectorRequirement]>) {
    let sorted = |requirement: &NodeSelectorRequirement| {
        let mut values = requirement.values.clone().unwrap_or_default();
        values.sort_unstable();
        values
    };
    for requirement in more.unwrap_or_default() {
        let all = all.get_or_insert_default();
        let same = |other: &NodeSelectorRequirement| {
            other.key == requirement.key
                && other.operator == requirement.operator
                && sorted(other) == sorted(requirement)
        };
        if !all.iter().any(same) {
            all.push(requirement.clone());
        }
    }
}
