//! The strategies of the built-in kinds that have rules of their own: one row of functions per kind.

mod batch;
mod configuration;
mod defaults;
mod pod;
mod service;
mod tables;
mod workload;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::Strategy;
use super::validate::{device, endpoints, object, quota};
use crate::field::FieldError;
use defaults::Defaults;

/// A strategy made of functions; each row names those it needs.
struct Rules {
    /// Defaults that are plain facts, see [`Defaults`].
    defaults: Defaults,
    /// Defaults that depend on other fields; run after the plain ones.
    default: fn(&mut Value),
    create: fn(&mut Value),
    update: fn(&mut Value, &Value),
    validate: fn(&Value) -> Vec<FieldError>,
    validate_update: fn(&Value, &Value) -> Vec<FieldError>,
    validate_status: fn(&Value, &Value) -> Vec<FieldError>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("defaults", &self.defaults).finish_non_exhaustive()
    }
}

impl Rules {
    /// No rules at all; what a row starts from.
    const NONE: Self = Self {
        defaults: Defaults::NONE,
        default: |_| {},
        create: |_| {},
        update: |_, _| {},
        validate: |_| Vec::new(),
        validate_update: |_, _| Vec::new(),
        validate_status: |_, _| Vec::new(),
    };
}

impl Strategy for Rules {
    fn default(&self, object: &mut Value) {
        self.defaults.apply(object);
        (self.default)(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        (self.create)(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        (self.update)(new, old);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        (self.validate)(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        (self.validate_update)(new, old)
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        (self.validate_status)(new, old)
    }
}

/// The strategy of a built-in kind; `None`: it has no rules of its own.
pub(super) fn strategy(group: &str, kind: &str) -> Option<Arc<dyn Strategy>> {
    let defaults = tables::defaults(group, kind);
    let rules = match (group, kind) {
        ("", "Pod") => pod::rules(),
        ("", "Service") => service::rules(),
        ("", "Namespace") => configuration::namespace(),
        ("", "Node") => configuration::node(),
        ("", "PersistentVolume" | "PersistentVolumeClaim") => configuration::volume(),
        ("", "Secret") => configuration::secret(),
        ("", "LimitRange") => configuration::limit_range(),
        ("", "ResourceQuota") => Rules {
            validate: quota::resource_quota,
            validate_update: quota::resource_quota_update,
            ..Rules::NONE
        },
        ("", "PodTemplate") => Rules { default: |o| pod::default_template(o, "/template"), ..Rules::NONE },
        ("", "ReplicationController") => workload::replication_controller(),
        ("", "ConfigMap") => {
            Rules { validate: object::config_map, validate_update: object::config_map_update, ..Rules::NONE }
        }
        ("", "Event") => Rules { validate: object::event, ..Rules::NONE },
        ("", "Endpoints") => Rules { validate: endpoints::endpoints, ..Rules::NONE },
        ("discovery.k8s.io", "EndpointSlice") => Rules {
            validate: endpoints::endpoint_slice,
            validate_update: endpoints::endpoint_slice_update,
            ..Rules::NONE
        },
        ("coordination.k8s.io", "Lease") => Rules { validate: object::lease, ..Rules::NONE },
        ("scheduling.k8s.io", "PriorityClass") => {
            Rules { validate_update: object::priority_class_update, ..Rules::NONE }
        }
        ("storage.k8s.io", "StorageClass") => {
            Rules { validate_update: object::storage_class_update, ..Rules::NONE }
        }
        ("apps", "Deployment") => workload::deployment(),
        ("apps", "ReplicaSet") => workload::replica_set(),
        ("apps", "DaemonSet" | "StatefulSet") => workload::other(),
        ("batch", "Job") => batch::job(),
        ("batch", "CronJob") => batch::cron_job(),
        ("resource.k8s.io", "ResourceClaim") => Rules {
            validate: device::claim,
            validate_update: device::spec_update,
            validate_status: device::claim_status,
            ..Rules::NONE
        },
        ("resource.k8s.io", "ResourceClaimTemplate") => {
            Rules { validate: device::claim_template, validate_update: device::spec_update, ..Rules::NONE }
        }
        ("networking.k8s.io", "NetworkPolicy") => configuration::network_policy(),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => configuration::role_binding(),
        _ if defaults.is_empty() => return None,
        _ => Rules::NONE,
    };
    Some(Arc::new(Rules { defaults, ..rules }))
}

/// The object at a JSON pointer, made (with everything above it) when it is not there.
fn object_at<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut serde_json::Map<String, Value>> {
    let mut at = value;
    for key in path {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = at.as_object_mut()?.entry(*key).or_insert(Value::Null);
    }
    if at.is_null() {
        *at = Value::Object(serde_json::Map::new());
    }
    at.as_object_mut()
}

/// Inserts a value where none (or only null or the empty string) is.
fn fill(map: &mut serde_json::Map<String, Value>, key: &str, value: impl Into<Value>) {
    if map.get(key).is_none_or(|v| v.is_null() || v == "") {
        map.insert(key.to_owned(), value.into());
    }
}

/// The text at a JSON pointer; empty when there is none.
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer; empty when there is none.
fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
