//! Names of resources, and limit ranges.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Errors, each, text};
use crate::field::FieldError;
use crate::kinds::names;
use crate::quantity::Quantity;

const CONTAINER: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// What is counted per namespace, in whole numbers.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
const BOUNDED: [&str; 7] = [
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Whether a name without a prefix can stand in a resource quota.
pub(super) fn is_quota(name: &str) -> bool {
    CONTAINER.contains(&name) || BOUNDED.contains(&name) || COUNTED.contains(&name) || is_huge_pages(name)
}

fn is_huge_pages(name: &str) -> bool {
    name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    let counted = || names::label_key(&format!("requests.{name}")).is_empty();
    !is_native(name) && !name.starts_with("requests.") && counted()
}

/// Whether there are only whole numbers of it.
pub(super) fn is_whole(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// The name of any resource.
pub(super) fn resource_name(errors: &mut Errors, name: &str, path: &str) {
    let complaints = names::label_key(name);
    if complaints.is_empty() && !name.contains('/') && !is_quota(name) && name != "storage" {
        let detail = "must be a standard resource type or fully qualified";
        errors.add(FieldError::invalid(path, name, detail));
    }
    errors.complaints(path, &name.into(), complaints);
}

/// The name of a resource that containers can have.
fn container_resource_name(errors: &mut Errors, name: &str, path: &str) {
    resource_name(errors, name, path);
    if !name.contains('/') {
        if !CONTAINER.contains(&name) && !name.starts_with("hugepages-") {
            errors.add(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.add(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

pub(in crate::kinds) fn limit_range(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let mut seen = BTreeSet::new();
    for (path, limit) in each(object.get("spec").unwrap_or(&Value::Null), "spec", "limits") {
        let kind = text(limit, "type");
        limit_type(&mut errors, kind, &format!("{path}.type"));
        if !seen.insert(kind) {
            errors.add(FieldError::duplicate(format!("{path}.type"), kind));
        }
        let lists = lists(&mut errors, limit, kind, &path);
        let bounded = |list: &str| limit.pointer(&format!("/{list}/storage")).is_some();
        if kind == "PersistentVolumeClaim" && !bounded("min") && !bounded("max") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.add(FieldError::required(format!("{path}.limits"), detail));
        }
        let names: BTreeSet<_> = lists.values().flat_map(BTreeMap::keys).copied().collect();
        for name in names {
            let of = |list: &str| lists.get(list).and_then(|list| list.get(name)).copied();
            Limit { name, path: &path, of: &of }.check(&mut errors);
        }
    }
    errors.0
}

fn limit_type(errors: &mut Errors, kind: &str, path: &str) {
    let complaints = names::label_key(kind);
    let standard = ["Pod", "Container", "PersistentVolumeClaim"];
    if complaints.is_empty() && !kind.contains('/') && !standard.contains(&kind) {
        let detail = "must be a standard limit type or fully qualified";
        errors.add(FieldError::invalid(path, kind, detail));
    }
    errors.complaints(path, &kind.into(), complaints);
}

/// The amounts of an item by list and resource.
fn lists<'v>(
    errors: &mut Errors,
    limit: &'v Value,
    kind: &str,
    path: &str,
) -> BTreeMap<&'static str, BTreeMap<&'v str, Quantity>> {
    let mut found = BTreeMap::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let Some(amounts) = limit.get(list).and_then(Value::as_object).filter(|list| !list.is_empty()) else {
            continue;
        };
        if kind == "Pod" && list.starts_with("default") {
            let detail = "may not be specified when `type` is 'Pod'";
            errors.add(FieldError::forbidden(format!("{path}.{list}"), detail));
            continue;
        }
        for name in amounts.keys() {
            let path = format!("{path}.{list}[{name}]");
            match kind {
                "Pod" | "Container" => container_resource_name(errors, name, &path),
                _ => resource_name(errors, name, &path),
            }
        }
        let amount = |(name, amount): (&'v String, &Value)| {
            Some((name.as_str(), amount.as_str()?.parse::<Quantity>().ok()?))
        };
        found.insert(list, amounts.iter().filter_map(amount).collect());
    }
    found
}

/// What an item says about one resource.
struct Limit<'a> {
    name: &'a str,
    path: &'a str,
    /// The amount in one of the lists.
    of: &'a dyn Fn(&str) -> Option<Quantity>,
}

impl Limit<'_> {
    fn check(&self, errors: &mut Errors) {
        let no_more =
            |errors: &mut Errors, (small, small_is), (large, large_is), (at, shown): (&str, &str)| {
                if let (Some(a), Some(b)) = ((self.of)(small), (self.of)(large))
                    && a > b
                {
                    let detail = format!("{small_is} value {a} is greater than {large_is} value {b}");
                    self.refuse(errors, at, (self.of)(shown), detail);
                }
            };
        let (min, max) = (("min", "min"), ("max", "max"));
        let request = ("defaultRequest", "default request");
        no_more(errors, min, max, ("min", "min"));
        no_more(errors, min, request, ("defaultRequest", "defaultRequest"));
        no_more(errors, request, max, ("defaultRequest", "defaultRequest"));
        no_more(errors, request, ("default", "default limit"), ("defaultRequest", "defaultRequest"));
        no_more(errors, min, ("default", "default"), ("default", "min"));
        no_more(errors, ("default", "default"), max, ("default", "max"));
        self.check_ratio(errors);
        let exact = !is_native(self.name) || self.name.starts_with("hugepages-");
        if let (true, Some(limit), Some(request)) = (exact, (self.of)("default"), (self.of)("defaultRequest"))
            && limit != request
        {
            let detail = format!(
                "default value {limit} must equal to defaultRequest value {request} in {}",
                self.name
            );
            self.refuse(errors, "defaultRequest", Some(request), detail);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "upstream compares ratios as floating-point numbers too")]
    fn check_ratio(&self, errors: &mut Errors) {
        let Some(ratio) = (self.of)("maxLimitRequestRatio") else { return };
        let units = |amount: Quantity| amount.nanos() as f64 / 1e9;
        if units(ratio) < 1.0 {
            self.refuse(errors, "maxLimitRequestRatio", Some(ratio), format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = ((self.of)("min"), (self.of)("max")) {
            let most = units(max) / units(min);
            if units(ratio) > most {
                let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
                self.refuse(errors, "maxLimitRequestRatio", Some(ratio), detail);
            }
        }
    }

    fn refuse(&self, errors: &mut Errors, list: &str, amount: Option<Quantity>, detail: String) {
        let amount = amount.map(|amount| amount.to_string()).unwrap_or_default();
        errors.add(FieldError::invalid(format!("{}.{list}[{}]", self.path, self.name), amount, detail));
    }
}
