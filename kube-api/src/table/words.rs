//! Cells that are computed from several fields.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{human_duration, since};
use crate::selector::LabelSelector;

/// The text at a pointer; empty when there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn or<'a>(text: &'a str, missing: &'a str) -> &'a str {
    if text.is_empty() { missing } else { text }
}

fn join(parts: impl IntoIterator<Item = impl AsRef<str>>, separator: &str) -> String {
    parts.into_iter().map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join(separator)
}

/// The elements of a list (or the text at `pointer` in each), joined by commas.
pub(super) fn joined(object: &Value, at: &str, pointer: &str, missing: &str) -> Value {
    or(&join(list(object, at).iter().map(|e| text(e, pointer)), ","), missing).into()
}

pub(super) fn of_containers(object: &Value, template: &str, field: &str) -> Value {
    let containers = list(object, &format!("{template}/spec/containers"));
    join(containers.iter().map(|c| text(c, &format!("/{field}"))), ",").into()
}

pub(super) fn labels(map: Option<&Value>) -> Value {
    let map = map.and_then(Value::as_object);
    let pairs = map.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
    or(&join(pairs, ","), "<none>").into()
}

/// A `LabelSelector` object, or the plain map that old kinds have.
pub(super) fn selector(selector: Option<&Value>) -> Value {
    let Some(object) = selector else { return "<none>".into() };
    let is_new =
        object.get("matchLabels").is_some_and(Value::is_object) || object.get("matchExpressions").is_some();
    if !is_new {
        return labels(selector);
    }
    match LabelSelector::from_object(object) {
        Ok(selector) => or(&selector.to_string(), "<none>").into(),
        Err(_) => "<error>".into(),
    }
}

pub(super) fn ratio(object: &Value, of: &str, all: &str) -> Value {
    format!("{}/{}", number(object, of), number(object, all)).into()
}

pub(super) fn reference(object: &Value, pointer: &str) -> Value {
    format!("{}/{}", text(object, &format!("{pointer}/kind")), text(object, &format!("{pointer}/name")))
        .into()
}

pub(super) fn data_count(object: &Value) -> Value {
    let count = |key| object.get(key).and_then(Value::as_object).map_or(0, Map::len);
    (count("data") + count("binaryData")).into()
}

fn with_more(items: &[String], max: usize) -> Value {
    if items.is_empty() {
        return "<none>".into();
    }
    let shown = join(items.iter().take(max), ",");
    if items.len() > max { format!("{shown} + {} more...", items.len() - max) } else { shown }.into()
}

fn host_port(address: &str, port: i64) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

pub(super) fn endpoints(object: &Value) -> Value {
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        let addresses = || list(subset, "/addresses").iter().map(|a| text(a, "/ip"));
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            all.extend(addresses().map(|a| host_port(a, number(port, "/port"))));
        }
    }
    with_more(&all, 3)
}

pub(super) fn slice_ports(object: &Value) -> Value {
    let port = |p: &Value| match p.get("port").and_then(Value::as_i64) {
        Some(port) => port.to_string(),
        None => or(text(p, "/name"), "*").to_owned(),
    };
    let ports: Vec<String> = list(object, "/ports").iter().map(port).collect();
    if ports.is_empty() { "<unset>".into() } else { with_more(&ports, 3) }
}

pub(super) fn slice_endpoints(object: &Value) -> Value {
    let addresses = list(object, "/endpoints").iter().flat_map(|e| list(e, "/addresses"));
    let all: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    if all.is_empty() { "<unset>".into() } else { with_more(&all, 3) }
}

pub(super) fn service_ports(object: &Value) -> Value {
    let port = |p: &Value| {
        let (port, protocol) = (number(p, "/port"), text(p, "/protocol"));
        match number(p, "/nodePort") {
            0 => format!("{port}/{protocol}"),
            node_port => format!("{port}:{node_port}/{protocol}"),
        }
    };
    or(&join(list(object, "/spec/ports").iter().map(port), ","), "<none>").into()
}

fn load_balancers(object: &Value) -> BTreeSet<&str> {
    let address = |i| or(text(i, "/ip"), text(i, "/hostname"));
    list(object, "/status/loadBalancer/ingress").iter().map(address).filter(|a| !a.is_empty()).collect()
}

pub(super) fn external_address(object: &Value) -> Value {
    let own = || list(object, "/spec/externalIPs").iter().filter_map(Value::as_str);
    match text(object, "/spec/type") {
        "ExternalName" => text(object, "/spec/externalName").into(),
        "LoadBalancer" => or(&join(load_balancers(object).into_iter().chain(own()), ","), "<pending>").into(),
        "ClusterIP" | "NodePort" => or(&join(own(), ","), "<none>").into(),
        _ => "<unknown>".into(),
    }
}

pub(super) fn ingress_addresses(object: &Value) -> String {
    join(load_balancers(object), ",")
}

pub(super) fn ingress_hosts(object: &Value) -> Value {
    let rules = list(object, "/spec/rules").iter();
    let hosts: Vec<String> =
        rules.map(|r| text(r, "/host")).filter(|h| !h.is_empty()).map(str::to_owned).collect();
    if hosts.is_empty() { "*".into() } else { with_more(&hosts, 3) }
}

pub(super) fn ingress_ports(object: &Value) -> Value {
    if list(object, "/spec/tls").is_empty() { "80" } else { "80, 443" }.into()
}

pub(super) fn parameters(object: &Value) -> Value {
    let at = "/spec/parameters";
    if object.pointer(at).is_none() {
        return "<none>".into();
    }
    let group = text(object, "/spec/parameters/apiGroup");
    let kind = text(object, "/spec/parameters/kind");
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", text(object, "/spec/parameters/name")).into()
}

pub(super) fn node_status(object: &Value) -> Value {
    let ready = list(object, "/status/conditions").iter().find(|c| text(c, "/type") == "Ready");
    let mut status = match ready.map(|c| text(c, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}

pub(super) fn node_roles(object: &Value) -> Value {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let roles: BTreeSet<String> =
        labels.into_iter().flatten().filter_map(role).filter(|r| !r.is_empty()).collect();
    or(&join(roles, ","), "<none>").into()
}

pub(super) fn node_address(object: &Value, ty: &str) -> Value {
    let address = list(object, "/status/addresses").iter().find(|a| text(a, "/type") == ty);
    or(address.map_or("", |a| text(a, "/address")), "<none>").into()
}

/// The time since the first of these timestamps that is there.
fn seen(object: &Value, pointers: &[&str], now: Timestamp) -> Value {
    let time = pointers.iter().find_map(|p| object.pointer(p).filter(|t| !t.is_null()));
    since(time, now).into()
}

pub(super) fn event_first_seen(object: &Value, now: Timestamp) -> Value {
    seen(object, &["/firstTimestamp", "/eventTime"], now)
}

pub(super) fn event_last_seen(object: &Value, now: Timestamp) -> Value {
    seen(object, &["/series/lastObservedTime", "/lastTimestamp", "/firstTimestamp", "/eventTime"], now)
}

pub(super) fn event_count(object: &Value) -> Value {
    match (object.pointer("/series/count"), number(object, "/count")) {
        (Some(count), _) => count.clone(),
        (None, 0) => 1.into(),
        (None, count) => count.into(),
    }
}

pub(super) fn event_object(object: &Value) -> Value {
    let kind = text(object, "/involvedObject/kind").to_lowercase();
    match text(object, "/involvedObject/name") {
        "" => kind.into(),
        name => format!("{kind}/{name}").into(),
    }
}

pub(super) fn event_source(object: &Value) -> Value {
    let component = or(text(object, "/source/component"), text(object, "/reportingComponent"));
    match or(text(object, "/source/host"), text(object, "/reportingInstance")) {
        "" => component.into(),
        host => format!("{component}, {host}").into(),
    }
}

pub(super) fn phase(object: &Value) -> Value {
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    if deleted { "Terminating" } else { text(object, "/status/phase") }.into()
}

pub(super) fn claim(object: &Value) -> Value {
    let claim = "/spec/claimRef";
    if object.pointer(claim).is_none() {
        return "".into();
    }
    format!("{}/{}", text(object, "/spec/claimRef/namespace"), text(object, "/spec/claimRef/name")).into()
}

pub(super) fn access_modes(object: &Value, pointer: &str) -> Value {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    join(list(object, pointer).iter().map(short).filter(|m| !m.is_empty()), ",").into()
}

pub(super) fn quota(object: &Value, limits: bool) -> Value {
    let hard = object.pointer("/status/hard").and_then(Value::as_object);
    let shown = hard.into_iter().flatten().filter(|(name, _)| name.starts_with("limits.") == limits);
    let line = |(name, hard): (&String, &Value)| {
        let used = object.pointer("/status/used").and_then(|u| u.get(name)).and_then(Value::as_str);
        format!("{name}: {}/{}", used.unwrap_or("0"), hard.as_str().unwrap_or_default())
    };
    join(shown.map(line), ", ").into()
}

pub(super) fn controller(object: &Value) -> Value {
    let owner = list(object, "/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
    let Some(owner) = owner else { return "<none>".into() };
    let (kind, name) = (text(owner, "/kind").to_lowercase(), text(owner, "/name"));
    match text(owner, "/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}").into(),
        None => format!("{kind}/{name}").into(),
    }
}

pub(super) fn job_status(object: &Value) -> Value {
    let has = |ty: &str| {
        list(object, "/status/conditions")
            .iter()
            .any(|c| text(c, "/type") == ty && text(c, "/status") == "True")
    };
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if deleted => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
    .into()
}

pub(super) fn job_completions(object: &Value) -> Value {
    let succeeded = number(object, "/status/succeeded");
    let parallelism = number(object, "/spec/parallelism");
    match object.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }
    .into()
}

pub(super) fn job_duration(object: &Value, now: Timestamp) -> Value {
    let time = |pointer| text(object, pointer).parse::<Timestamp>().ok();
    match (time("/status/startTime"), time("/status/completionTime")) {
        (None, _) => "".into(),
        (Some(start), end) => human_duration(end.unwrap_or(now).as_second() - start.as_second()).into(),
    }
}

pub(super) fn cron_suspended(object: &Value) -> Value {
    match object.pointer("/spec/suspend") {
        Some(Value::Bool(true)) => "True",
        Some(Value::Bool(false)) => "False",
        _ => "<unset>",
    }
    .into()
}

pub(super) fn cron_last(object: &Value, now: Timestamp) -> Value {
    let last = object.pointer("/status/lastScheduleTime");
    if last.is_none() { "<none>".into() } else { since(last, now).into() }
}

pub(super) fn autoscaler_targets(object: &Value) -> Value {
    let target = |metric: &Value| {
        let ty = text(metric, "/type").to_lowercase();
        let (name, target) = (text(metric, &format!("/{ty}/name")), metric.pointer(&format!("/{ty}/target")));
        let wanted = target.and_then(|t| t.get("averageUtilization")).and_then(Value::as_i64);
        let wanted = wanted.map_or_else(
            || target.map_or("<unknown>", |t| or(text(t, "/averageValue"), text(t, "/value"))).to_owned(),
            |p| format!("{p}%"),
        );
        let current =
            list(object, "/status/currentMetrics").iter().find(|c| text(c, &format!("/{ty}/name")) == name);
        let current = current.and_then(|c| c.pointer(&format!("/{ty}/current/averageUtilization")));
        let current = current.map_or_else(|| "<unknown>".to_owned(), |c| format!("{c}%"));
        format!("{name}: {current}/{wanted}")
    };
    let all: Vec<String> = list(object, "/spec/metrics").iter().map(target).collect();
    with_more(&all, 2)
}

pub(super) fn request_condition(object: &Value) -> Value {
    let has = |ty: &str| list(object, "/status/conditions").iter().any(|c| text(c, "/type") == ty);
    let mut status = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !text(object, "/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    status.into()
}

pub(super) fn subjects(object: &Value, kind: &str) -> Value {
    let subjects = list(object, "/subjects").iter().filter(|s| text(s, "/kind") == kind);
    let name = |s: &Value| match text(s, "/namespace") {
        "" => text(s, "/name").to_owned(),
        namespace => format!("{namespace}/{}", text(s, "/name")),
    };
    join(subjects.map(name), ", ").into()
}

pub(super) fn storage_class_name(object: &Value) -> Value {
    let default = object.pointer("/metadata/annotations/storageclass.kubernetes.io~1is-default-class");
    let suffix = if default.is_some_and(|d| d == "true") { " (default)" } else { "" };
    format!("{}{suffix}", text(object, "/metadata/name")).into()
}
