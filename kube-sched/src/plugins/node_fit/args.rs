//! `NodeResourcesFitArgs`.

use serde::Deserialize;

use super::NodeResourcesFit;
use super::strategy::{ResourceWeight, ScoringStrategy, cpu_and_memory};
use crate::Error;
use crate::framework::PluginArgs;
use crate::plugins::args::{decode, refuse};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Args {
    ignored_resources: Vec<String>,
    ignored_resource_groups: Vec<String>,
    scoring_strategy: Option<Strategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Strategy {
    #[serde(rename = "type")]
    kind: Option<String>,
    resources: Option<Vec<ResourceWeight>>,
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Deserialize)]
struct Ratio {
    shape: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    utilization: i64,
    score: i64,
}

/// Why a shape is not one.
fn flaw(shape: &[(i64, i64)]) -> Option<&'static str> {
    let within = |value: i64, most: i64| (0..=most).contains(&value);
    if shape.is_empty() {
        Some("the shape needs at least one point")
    } else if shape.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        Some("the utilization of a shape's points must rise")
    } else if !shape.iter().all(|(utilization, score)| within(*utilization, 100) && within(*score, 10)) {
        Some("a shape's utilization must be from 0 to 100 and its score from 0 to 10")
    } else {
        None
    }
}

impl NodeResourcesFit {
    /// Reads `NodeResourcesFitArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist, an unknown strategy, weights outside 1 to 100 and shapes that are none.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let fields = &["ignoredResources", "ignoredResourceGroups", "scoringStrategy"];
        let Args { ignored_resources, ignored_resource_groups, scoring_strategy } =
            decode(Self::NAME, args, fields)?;
        let invalid = |reason: &str| Err(refuse(Self::NAME, reason.to_owned()));
        let (kind, resources, ratio) = match scoring_strategy {
            Some(strategy) => (strategy.kind, strategy.resources, strategy.requested_to_capacity_ratio),
            None => (None, None, None),
        };
        let strategy = match (kind.as_deref(), ratio) {
            (None | Some("LeastAllocated"), None) => ScoringStrategy::LeastAllocated,
            (Some("MostAllocated"), None) => ScoringStrategy::MostAllocated,
            (Some("RequestedToCapacityRatio"), Some(ratio)) => {
                let shape: Vec<_> =
                    ratio.shape.iter().map(|point| (point.utilization, point.score)).collect();
                match flaw(&shape) {
                    Some(reason) => return invalid(reason),
                    None => ScoringStrategy::RequestedToCapacityRatio(shape),
                }
            }
            (Some("RequestedToCapacityRatio"), None) => {
                return invalid("RequestedToCapacityRatio needs a shape");
            }
            (_, Some(_)) => return invalid("only RequestedToCapacityRatio has a shape"),
            (Some(_), None) => return invalid("unknown type of scoringStrategy"),
        };
        let resources = resources.filter(|list| !list.is_empty()).unwrap_or_else(cpu_and_memory);
        if !resources.iter().all(|resource| (1..=100).contains(&resource.weight)) {
            return invalid("the weight of a resource must be from 1 to 100");
        }
        Ok(Self { ignored_resources, ignored_resource_groups, strategy, resources })
    }
}
