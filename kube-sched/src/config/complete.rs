//! A document with everything written out, as upstream shows it.

use serde_json::{Map, Value, json};

use super::document::{API_VERSION, Document, PluginConfigSection, ProfileSection};
use super::point::Point;
use super::profile::everywhere;
use crate::plugins::{
    DefaultPreemption, DynamicResources, InterPodAffinity, NodeAffinity, NodeResourcesBalancedAllocation,
    NodeResourcesFit, PodTopologySpread, VolumeBinding,
};

/// Writes out the plugins of every profile and their arguments.
pub(super) fn complete(document: &mut Document) {
    for profile in &mut document.profiles {
        profile.plugins.multi_point.enabled = everywhere(profile);
        profile.plugin_config = arguments(profile);
    }
}

/// The arguments of each plugin that takes part, by name.
fn arguments(profile: &ProfileSection) -> Vec<PluginConfigSection> {
    let sets = Point::ALL.iter().map(|point| point.set(&profile.plugins));
    let sets = sets.chain([&profile.plugins.multi_point, &profile.plugins.pre_score]);
    let mut names: Vec<_> = sets.flat_map(|set| &set.enabled).map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let complete = |name: &str| {
        let given = profile.plugin_config.iter().find(|config| config.name == name);
        let given = given.and_then(|config| config.args.as_object());
        let args = match (defaults(name), given) {
            (Some(defaults), given) => overlay(name, defaults, given),
            (None, given) => Value::Object(given?.clone()),
        };
        Some(PluginConfigSection { name: name.to_owned(), args })
    };
    names.into_iter().filter_map(complete).collect()
}

/// What the arguments of a plugin are when none are given; `None` for one that takes none.
fn defaults(plugin: &str) -> Option<Value> {
    let resources = json!([{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]);
    Some(match plugin {
        DefaultPreemption::NAME => {
            json!({"minCandidateNodesPercentage": 10, "minCandidateNodesAbsolute": 100})
        }
        DynamicResources::NAME => json!({"filterTimeout": "10s"}),
        InterPodAffinity::NAME => {
            json!({"hardPodAffinityWeight": 1, "ignorePreferredTermsOfExistingPods": false})
        }
        NodeAffinity::NAME => json!({}),
        NodeResourcesBalancedAllocation::NAME => json!({"resources": resources}),
        NodeResourcesFit::NAME => {
            json!({"scoringStrategy": {"resources": resources, "type": "LeastAllocated"}})
        }
        PodTopologySpread::NAME => json!({"defaultingType": "System"}),
        VolumeBinding::NAME => json!({"bindTimeoutSeconds": 600}),
        _ => return None,
    })
}

fn overlay(plugin: &str, mut args: Value, given: Option<&Map<String, Value>>) -> Value {
    if let Some(fields) = args.as_object_mut() {
        for (name, value) in given.into_iter().flatten() {
            let default = fields.insert(name.clone(), value.clone()).unwrap_or_default();
            if let Some(field) = fields.get_mut(name) {
                weigh(field, &default);
            }
        }
        fields.insert("apiVersion".to_owned(), API_VERSION.into());
        fields.insert("kind".to_owned(), format!("{plugin}Args").into());
    }
    args
}

/// Lists of resources that are empty are the default ones, and resources without a weight have one.
fn weigh(field: &mut Value, default: &Value) {
    match field {
        Value::Array(items) => {
            let light = |item: &&mut Value| item.get("name").is_some();
            for item in items.iter_mut().filter(light) {
                if item["weight"].as_i64().unwrap_or_default() == 0 {
                    item["weight"] = 1.into();
                }
            }
            if let (true, Some(default)) = (items.is_empty(), default.as_array()) {
                items.clone_from(default);
            }
        }
        Value::Object(fields) if default.get("resources").is_some() => {
            let resources = fields.entry("resources").or_insert_with(|| json!([]));
            weigh(resources, &default["resources"]);
        }
        _ => {}
    }
}
