//! `NodeResourcesFitArgs`.

use serde::Deserialize;

use super::NodeResourcesFit;
use super::strategy::{ResourceWeight, ScoringStrategy, cpu_and_memory};
use crate::Error;
use crate::complaint::{Complaints, unqualified};
use crate::framework::PluginArgs;
use crate::plugins::args::{ShapePoint, accept, check_shape, decode};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Args {
    ignored_resources: Vec<String>,
    ignored_resource_groups: Vec<String>,
    scoring_strategy: Option<Strategy>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    resources: Vec<ResourceWeight>,
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratio {
    #[serde(default)]
    shape: Vec<ShapePoint>,
}

const LEAST: &str = "LeastAllocated";
const MOST: &str = "MostAllocated";
const RATIO: &str = "RequestedToCapacityRatio";

impl NodeResourcesFit {
    /// Reads `NodeResourcesFitArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist, names that are none, an unknown strategy, weights outside 1 to 100 and
    /// shapes that are none.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let fields = &["ignoredResources", "ignoredResourceGroups", "scoringStrategy"];
        let Args { ignored_resources, ignored_resource_groups, scoring_strategy } =
            decode(Self::NAME, args, fields)?;
        let mut complaints = Complaints::default();
        check_names(&ignored_resources, &ignored_resource_groups, &mut complaints);
        let mut plugin = Self { ignored_resources, ignored_resource_groups, ..Self::default() };
        if let Some(strategy) = scoring_strategy {
            (plugin.strategy, plugin.resources) = strategy.read(&mut complaints);
        }
        accept(Self::NAME, complaints)?;
        Ok(plugin)
    }
}

fn check_names(resources: &[String], groups: &[String], it: &mut Complaints) {
    for (index, name) in resources.iter().enumerate() {
        for flaw in unqualified(name) {
            it.invalid(format_args!("ignoredResources[{index}]"), format_args!("{name:?}"), flaw);
        }
    }
    for (index, name) in groups.iter().enumerate() {
        let slash = name.contains('/').then(|| "resource group name can't contain '/'".to_owned());
        for flaw in slash.into_iter().chain(unqualified(name)) {
            it.invalid(format_args!("ignoredResourceGroups[{index}]"), format_args!("{name:?}"), flaw);
        }
    }
}

impl Strategy {
    fn read(self, it: &mut Complaints) -> (ScoringStrategy, Vec<ResourceWeight>) {
        let mut resources = self.resources;
        if resources.is_empty() {
            resources = cpu_and_memory();
        }
        for (index, ResourceWeight { name, weight }) in resources.iter_mut().enumerate() {
            // None is one.
            *weight = if *weight == 0 { 1 } else { *weight };
            let reason = format_args!("resource weight of {name} not in valid range (0, 100]");
            let field = format_args!("scoringStrategy.resources[{index}].weight");
            it.invalid_if(!(1..=100).contains(weight), field, *weight, reason);
        }
        let shape = self.requested_to_capacity_ratio.map(|ratio| ratio.shape);
        if let Some(shape) = &shape {
            check_shape("scoringStrategy.shape", shape, it);
        }
        let strategy = match (self.kind.as_str(), shape) {
            (LEAST, _) => ScoringStrategy::LeastAllocated,
            (MOST, _) => ScoringStrategy::MostAllocated,
            (RATIO, shape) => {
                if shape.is_none() {
                    // Upstream ends in a panic here.
                    it.required("scoringStrategy.requestedToCapacityRatio", "");
                }
                let points = shape.unwrap_or_default().into_iter();
                ScoringStrategy::RequestedToCapacityRatio(points.map(|p| (p.utilization, p.score)).collect())
            }
            (other, _) => {
                it.unsupported("scoringStrategy.type", other, &[LEAST, MOST, RATIO]);
                ScoringStrategy::default()
            }
        };
        (strategy, resources)
    }
}
