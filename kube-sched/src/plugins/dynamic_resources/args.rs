//! The plugin's arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::Deserialize;

use super::DynamicResources;
use super::selector::{BuiltinSelectors, Selectors};
use crate::Error;
use crate::complaint::{Complaints, go_duration};
use crate::framework::PluginArgs;
use crate::plugins::args::{accept, decode};

/// A decision has no clock, so a time limit is turned into work: so much of it is done in a second.
const COST_PER_SECOND: u64 = 20_000_000;
/// How long allocating devices for a pod may take, in seconds, as upstream.
const DEFAULT_TIMEOUT: u64 = 10;

/// The gates that may be given.
const GATES: [&str; 2] = ["DRADeviceTaints", "DRAPartitionableDevices"];

/// What of the devices' interface is turned on that is off in Kubernetes v1.35.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceFeatures {
    /// `DRADeviceTaints`: devices with taints are given to requests that tolerate them only. Default false: taints do not count.
    pub device_taints: bool,
    /// `DRAPartitionableDevices`: devices may share counters, and say each for itself from which nodes they can be reached.
    /// Default false: such devices are not used.
    pub partitionable_devices: bool,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Args {
    filter_timeout: Option<SignedDuration>,
    feature_gates: BTreeMap<String, bool>,
}

impl DynamicResources {
    /// A plugin with `DynamicResourcesArgs`: `filterTimeout`, zero for none, and, which upstream takes from the command
    /// line, `featureGates` as in [`DeviceFeatures`].
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields and gates that do not exist and for negative times.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let args: Args = decode(Self::NAME, args, &["filterTimeout", "featureGates"])?;
        let (mut plugin, mut complaints) = (Self::default(), Complaints::default());
        if let Some(timeout) = args.filter_timeout {
            let text = format!("{:?}", go_duration(timeout));
            complaints.invalid_if(timeout.is_negative(), "filterTimeout", text, "must be zero or positive");
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            plugin.budget =
                if millis == 0 { u64::MAX } else { millis.saturating_mul(COST_PER_SECOND / 1000) };
        }
        for (gate, on) in &args.feature_gates {
            match gate.as_str() {
                "DRADeviceTaints" => plugin.features.device_taints = *on,
                "DRAPartitionableDevices" => plugin.features.partitionable_devices = *on,
                _ => complaints.unsupported("featureGates", gate, &GATES),
            }
        }
        accept(Self::NAME, complaints)?;
        Ok(plugin)
    }
}

impl Default for DynamicResources {
    /// As in Kubernetes v1.35: nothing is turned on that is off there.
    fn default() -> Self {
        Self {
            features: DeviceFeatures::default(),
            budget: DEFAULT_TIMEOUT * COST_PER_SECOND,
            selectors: Arc::new(Selectors::new(Arc::new(BuiltinSelectors))),
        }
    }
}
