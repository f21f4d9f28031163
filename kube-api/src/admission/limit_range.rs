//! LimitRanger: pods get what the limit ranges of their namespace assume, and pods and claims keep to their bounds.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Admission, Lookup, Operation, Review};
use crate::error::{Error, Result};
use crate::object::text;
use crate::quantity::Quantity;

/// Says which resources a pod got from here.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

#[derive(Debug)]
pub(super) struct LimitRanger;

/// Resources by name.
type Amounts = BTreeMap<String, Quantity>;

#[async_trait]
impl Admission for LimitRanger {
    fn handles(&self, review: &Review<'_>) -> bool {
        let claims = |operation| review.is(operation, "", "persistentvolumeclaims");
        let resize = review.operation == Operation::Update
            && review.kind.plural == "pods"
            && review.subresource == "resize";
        review.is(Operation::Create, "", "pods")
            || claims(Operation::Create)
            || claims(Operation::Update)
            || resize
    }

    async fn admit(
        &self,
        review: &Review<'_>,
        object: &mut Value,
        old: Option<&Value>,
        lookup: &dyn Lookup,
    ) -> Result<()> {
        if review.kind.plural == "pods" && !leaves(old) {
            for range in lookup.list("", "limitranges", review.namespace).await? {
                fill(object, &range);
            }
        }
        Ok(())
    }

    async fn validate(
        &self,
        review: &Review<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
        lookup: &dyn Lookup,
    ) -> Result<()> {
        let Some(object) = object.filter(|_| !leaves(old)) else { return Ok(()) };
        for range in lookup.list("", "limitranges", review.namespace).await? {
            let reasons = distinct(items(&range).flat_map(|item| excesses(item, review, object)));
            match reasons.as_slice() {
                [] => {}
                [single] => return Err(Error::forbidden(review.target(), single.as_str())),
                several => {
                    return Err(Error::forbidden(review.target(), format!("[{}]", several.join(", "))));
                }
            }
        }
        Ok(())
    }
}

/// Whether an object was being deleted already.
fn leaves(old: Option<&Value>) -> bool {
    old.is_some_and(|old| old.pointer("/metadata/deletionTimestamp").is_some())
}

/// Each reason once: that of two containers may be the same.
fn distinct(reasons: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    reasons.filter(|reason| seen.insert(reason.clone())).collect()
}

fn items(range: &Value) -> impl Iterator<Item = &Value> {
    range.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten()
}

/// The lists of containers, with what the annotation calls them.
const CONTAINERS: [(&str, &str); 2] = [("containers", "container"), ("initContainers", "init container")];

/// Gives every container what it does not name itself.
fn fill(pod: &mut Value, range: &Value) {
    let of_containers = || items(range).filter(|item| text(item, "/type") == "Container");
    let collect = |field: &str| -> Map<String, Value> {
        let lists = of_containers().filter_map(|item| item.get(field)?.as_object());
        lists.flatten().map(|(name, amount)| (name.clone(), amount.clone())).collect()
    };
    let defaults =
        [("requests", "request", collect("defaultRequest")), ("limits", "limit", collect("default"))];
    let mut notes = Vec::new();
    for (list, called) in CONTAINERS {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = text(container, "/name").to_owned();
            for (field, word, defaults) in &defaults {
                let given = give(container, field, defaults);
                if !given.is_empty() {
                    notes.push(format!("{} {word} for {called} {name}", given.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty()
        && let Some(annotations) = map_at(pod, ["metadata", "annotations"])
    {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        annotations.insert(ANNOTATION.to_owned(), note.into());
    }
}

/// The map at a path, made if nothing is there; `None` if something else is, which validation refuses.
fn map_at<'v>(object: &'v mut Value, path: [&str; 2]) -> Option<&'v mut Map<String, Value>> {
    let mut at = object;
    for key in path {
        at = at.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
    }
    at.as_object_mut()
}

/// Adds what is missing to a list of a container's resources; the names of what was.
fn give(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    if defaults.is_empty() {
        return Vec::new();
    }
    let Some(list) = map_at(container, ["resources", field]) else { return Vec::new() };
    let mut missing: Vec<_> = defaults.iter().filter(|(name, _)| !list.contains_key(*name)).collect();
    missing.sort_by_key(|(name, _)| *name);
    let add = |(name, amount): &(&String, &Value)| _ = list.insert((*name).clone(), (*amount).clone());
    missing.iter().for_each(add);
    missing.into_iter().map(|(name, _)| name.clone()).collect()
}

fn amounts(list: &Value) -> Amounts {
    let parse = |(name, amount): (&String, &Value)| Some((name.clone(), amount.as_str()?.parse().ok()?));
    list.as_object().into_iter().flatten().filter_map(parse).collect()
}

/// In which ways an object goes beyond one item of a limit range.
fn excesses(item: &Value, review: &Review<'_>, object: &Value) -> Vec<String> {
    let (kind, spec) = (text(item, "/type"), &object["spec"]);
    let is_claim = review.kind.plural == "persistentvolumeclaims";
    let bounds = Bounds::new(kind, item);
    match kind {
        "Container" if !is_claim => {
            let lists = CONTAINERS.iter().filter_map(|(list, _)| spec.get(*list)?.as_array());
            let resources = lists.flatten().map(|container| &container["resources"]);
            let of = |resources: &Value| {
                bounds.check(&amounts(&resources["requests"]), &amounts(&resources["limits"]))
            };
            resources.flat_map(of).collect()
        }
        "Pod" if !is_claim => bounds.check(&of_pod(spec, "requests"), &of_pod(spec, "limits")),
        "PersistentVolumeClaim" if is_claim => bounds.check_claim(&amounts(&spec["resources"]["requests"])),
        _ => Vec::new(),
    }
}

/// What the containers of a pod have together, where those that run first count only as far as they need more.
fn of_pod(spec: &Value, field: &str) -> Amounts {
    let list = |name: &str| spec.get(name).and_then(Value::as_array).into_iter().flatten();
    let of = |container: &Value| amounts(&container["resources"][field]);
    let mut sum = Amounts::new();
    list("containers").for_each(|container| add(&mut sum, &of(container)));
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in list("initContainers") {
        let mut own = of(container);
        if container["restartPolicy"] == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            add(&mut own, &sidecars);
            raise(&mut peak, &own);
        }
    }
    raise(&mut sum, &peak);
    let shared = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    sum.extend(amounts(&spec["resources"][field]).into_iter().filter(|(name, _)| shared(name)));
    sum
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        sum.entry(name.clone()).and_modify(|sum| *sum = *sum + *amount).or_insert(*amount);
    }
}

fn raise(peak: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        peak.entry(name.clone()).and_modify(|peak| *peak = (*peak).max(*amount)).or_insert(*amount);
    }
}

/// An item's bounds and what they are for.
struct Bounds<'a> {
    kind: &'a str,
    min: Amounts,
    max: Amounts,
    ratio: Amounts,
}

impl<'a> Bounds<'a> {
    fn new(kind: &'a str, item: &Value) -> Self {
        let [min, max, ratio] = ["min", "max", "maxLimitRequestRatio"].map(|field| amounts(&item[field]));
        Self { kind, min, max, ratio }
    }

    fn check(&self, requests: &Amounts, limits: &Amounts) -> Vec<String> {
        let min = self.min.iter().filter_map(|(name, bound)| {
            self.beyond("minimum", name, bound, requests.get(name), limits.get(name), |given| given < bound)
        });
        let max = self.max.iter().filter_map(|(name, bound)| self.above(name, bound, requests, limits));
        let ratio = self.ratio.iter().filter_map(|(name, bound)| {
            self.stretched(name, bound, requests.get(name).copied(), limits.get(name).copied())
        });
        min.chain(max).chain(ratio).collect()
    }

    /// Claims have requests only.
    fn check_claim(&self, requests: &Amounts) -> Vec<String> {
        let min = self.min.iter().filter_map(|(name, bound)| {
            self.beyond("minimum", name, bound, requests.get(name), None, |given| given < bound)
        });
        let max = self.max.iter().filter_map(|(name, bound)| {
            self.beyond("maximum", name, bound, requests.get(name), None, |given| given > bound)
        });
        min.chain(max).collect()
    }

    /// The request has to be there and within the bound, the limit only within it.
    fn beyond(
        &self,
        which: &str,
        name: &str,
        bound: &Quantity,
        request: Option<&Quantity>,
        limit: Option<&Quantity>,
        wrong: impl Fn(&Quantity) -> bool,
    ) -> Option<String> {
        let what = format!("{which} {name} usage per {} is {bound}", self.kind);
        match (request, limit) {
            (None, _) => Some(format!("{what}.  No request is specified")),
            (Some(request), _) if wrong(request) => Some(format!("{what}, but request is {request}")),
            (_, Some(limit)) if wrong(limit) => Some(format!("{what}, but limit is {limit}")),
            _ => None,
        }
    }

    /// The limit has to be there and within the bound, the request only within it.
    fn above(&self, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
        let what = format!("maximum {name} usage per {} is {bound}", self.kind);
        match (limits.get(name), requests.get(name)) {
            (None, _) => Some(format!("{what}.  No limit is specified")),
            (Some(limit), _) if limit > bound => Some(format!("{what}, but limit is {limit}")),
            (_, Some(request)) if request > bound => Some(format!("{what}, but request is {request}")),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "upstream compares ratios as floating-point numbers too")]
    fn stretched(
        &self,
        name: &str,
        bound: &Quantity,
        request: Option<Quantity>,
        limit: Option<Quantity>,
    ) -> Option<String> {
        let what = format!("{name} max limit to request ratio per {} is {bound}", self.kind);
        let given =
            |amount: Option<Quantity>| amount.map(|amount| amount.nanos() as f64).filter(|n| *n != 0.0);
        let Some(request) = given(request) else {
            return Some(format!("{what}, but no request is specified or request is 0"));
        };
        let Some(limit) = given(limit) else {
            return Some(format!("{what}, but no limit is specified or limit is 0"));
        };
        let ratio = limit / request;
        (ratio > bound.nanos() as f64 / 1e9).then(|| format!("{what}, but provided ratio is {ratio:.6}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_get_what_they_do_not_name() {
        let range = json!({"spec": {"limits": [
            {"type": "Container", "default": {"cpu": "2", "memory": "1Gi"}, "defaultRequest": {"cpu": "1"}},
            {"type": "Pod", "default": {"cpu": "9"}}]}});
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"cpu": "3"}}}],
            "initContainers": [{"name": "i", "resources": {"limits": {"cpu": "3", "memory": "1"}, "requests": {"cpu": "1"}}}]}});
        fill(&mut pod, &range);
        let both = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}});
        assert_eq!(pod["spec"]["containers"][0]["resources"], both);
        let rest = json!({"limits": {"cpu": "3", "memory": "1Gi"}, "requests": {"cpu": "1"}});
        assert_eq!(pod["spec"]["containers"][1]["resources"], rest);
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container a; cpu, memory limit for container a; \
             cpu request for container b; memory limit for container b"
        );
    }

    #[test]
    fn what_two_containers_do_wrong_is_said_once() {
        let reasons = ["a", "b", "a"].map(str::to_owned).into_iter();
        assert_eq!(distinct(reasons), ["a", "b"]);
        assert!(leaves(Some(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))));
        assert!(!leaves(Some(&json!({"metadata": {}}))) && !leaves(None));
    }

    #[test]
    fn bounds_are_kept_in_upstreams_words() {
        let item = json!({"min": {"cpu": "1"}, "max": {"cpu": "4"}, "maxLimitRequestRatio": {"cpu": "1.5"}});
        let check = |request: &str, limit: &str| {
            let list = |amount: &str| if amount.is_empty() { json!({}) } else { json!({"cpu": amount}) };
            let bounds = Bounds::new("Container", &item);
            bounds.check(&amounts(&list(request)), &amounts(&list(limit))).join("; ")
        };
        assert_eq!(check("2", "3"), "");
        assert_eq!(
            check("2", "4"),
            "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000"
        );
        assert_eq!(check("500m", "500m"), "minimum cpu usage per Container is 1, but request is 500m");
        assert_eq!(check("5", "5"), "maximum cpu usage per Container is 4, but limit is 5");
        assert_eq!(
            check("", ""),
            "minimum cpu usage per Container is 1.  No request is specified; maximum cpu usage per Container is 4.  No limit is specified; \
             cpu max limit to request ratio per Container is 1500m, but no request is specified or request is 0"
        );
        let claim = Bounds::new("PersistentVolumeClaim", &item);
        assert_eq!(
            claim.check_claim(&amounts(&json!({"cpu": "5"}))),
            ["maximum cpu usage per PersistentVolumeClaim is 4, but request is 5"]
        );
    }

    #[test]
    fn a_pod_counts_as_its_containers_do_together() {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu, "example.com/gpu": "1"}}});
        let mut sidecar = container("1");
        sidecar["restartPolicy"] = json!("Always");
        let mut spec = json!({"containers": [container("1"), container("500m")], "initContainers": [sidecar, container("4")]});
        let sum = |spec: &Value| {
            of_pod(spec, "requests")
                .into_iter()
                .map(|(name, sum)| (name, sum.to_string()))
                .collect::<Vec<_>>()
        };
        let named = |cpu: &str| {
            vec![("cpu".to_owned(), cpu.to_owned()), ("example.com/gpu".to_owned(), "3".to_owned())]
        };
        assert_eq!(sum(&spec), named("5"));
        spec["resources"]["requests"] = json!({"cpu": "2", "example.com/gpu": "9"});
        assert_eq!(sum(&spec), named("2"));
    }
}
