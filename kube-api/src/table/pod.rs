//! The columns of pods.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{AGE, NAME};
use super::human_duration;
use super::printer::{Cell, Heading, Missing};
use super::words::{list, text};

const NONE: Missing = Missing::Text("<none>");

pub(super) fn headings() -> Vec<Heading> {
    let none = |name, pointer| (name, "string", 1, Cell::At(pointer, NONE));
    vec![
        NAME,
        ("Ready", "string", 0, Cell::By(|pod, _| Summary::of(pod).ready().into())),
        ("Status", "string", 0, Cell::By(|pod, _| Summary::of(pod).reason.into())),
        ("Restarts", "string", 0, Cell::By(|pod, now| Summary::of(pod).restarts(now).into())),
        AGE,
        none("IP", "/status/podIP"),
        none("Node", "/spec/nodeName"),
        none("Nominated Node", "/status/nominatedNodeName"),
        ("Readiness Gates", "string", 1, Cell::By(|pod, _| readiness_gates(pod))),
    ]
}

/// What a pod's status comes down to.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let sidecars = list(pod, "/spec/initContainers").iter().filter(|c| is_sidecar(c)).count();
        let mut reason = match text(pod, "/status/reason") {
            "" => text(pod, "/status/phase"),
            reason => reason,
        };
        if list(pod, "/status/conditions")
            .iter()
            .any(|c| text(c, "/type") == "PodScheduled" && text(c, "/reason") == "SchedulingGated")
        {
            reason = "SchedulingGated";
        }
        let mut summary = Self {
            ready: 0,
            total: list(pod, "/spec/containers").len() + sidecars,
            reason: reason.to_owned(),
            restarts: 0,
            last_restart: None,
        };
        let initializing = summary.init_containers(pod);
        if !initializing || has_condition(pod, "Initialized") {
            summary.count_sidecars_only(pod);
            summary.containers(pod);
        }
        summary.deletion(pod);
        summary
    }

    /// Looks at the init containers in order, up to the first that is not done; whether there was one.
    fn init_containers(&mut self, pod: &Value) -> bool {
        let specs = list(pod, "/spec/initContainers");
        for (i, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            self.count_restarts(status);
            let name = text(status, "/name");
            let sidecar = specs.iter().any(|c| text(c, "/name") == name && is_sidecar(c));
            let terminated = status.pointer("/state/terminated");
            let waiting = text(status, "/state/waiting/reason");
            if terminated.is_some_and(|t| code(t) == 0) {
                continue;
            }
            if sidecar && status.get("started") == Some(&Value::Bool(true)) {
                self.ready += usize::from(is_ready(status));
                continue;
            }
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", exit_reason(terminated)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{i}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    /// Once initialization is over, ordinary init containers no longer count.
    fn count_sidecars_only(&mut self, pod: &Value) {
        (self.restarts, self.last_restart) = (0, None);
        let specs = list(pod, "/spec/initContainers");
        for status in list(pod, "/status/initContainerStatuses") {
            if specs.iter().any(|c| c.get("name") == status.get("name") && is_sidecar(c)) {
                self.count_restarts(status);
            }
        }
    }

    fn containers(&mut self, pod: &Value) {
        let (mut running, mut error) = (false, None);
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.count_restarts(status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(terminated) = status.pointer("/state/terminated") {
                self.reason = exit_reason(terminated);
                if code(terminated) != 0 {
                    error = Some(self.reason.clone());
                }
            } else if is_ready(status) && status.pointer("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && has_condition(pod, "Ready") {
                "Running".clone_into(&mut self.reason);
            } else if let Some(error) = error {
                self.reason = error;
            } else if running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }

    fn deletion(&mut self, pod: &Value) {
        if pod.pointer("/metadata/deletionTimestamp").is_none() {
            return;
        }
        if text(pod, "/status/reason") == "NodeLost" {
            "Unknown".clone_into(&mut self.reason);
        } else if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut self.reason);
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += status.get("restartCount").and_then(Value::as_i64).unwrap_or_default();
        let ended = text(status, "/lastState/terminated/finishedAt").parse().ok();
        self.last_restart = self.last_restart.max(ended);
    }

    fn ready(&self) -> String {
        format!("{}/{}", self.ready, self.total)
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, human_duration(now.as_second() - last.as_second()))
            }
            _ => self.restarts.to_string(),
        }
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

fn is_ready(status: &Value) -> bool {
    status.get("ready") == Some(&Value::Bool(true))
}

fn code(terminated: &Value) -> i64 {
    terminated.get("exitCode").and_then(Value::as_i64).unwrap_or_default()
}

fn exit_reason(terminated: &Value) -> String {
    let signal = terminated.get("signal").and_then(Value::as_i64).unwrap_or_default();
    match text(terminated, "/reason") {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", code(terminated)),
        reason => reason.to_owned(),
    }
}

fn has_condition(pod: &Value, ty: &str) -> bool {
    list(pod, "/status/conditions").iter().any(|c| text(c, "/type") == ty && text(c, "/status") == "True")
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let met = gates.iter().filter(|g| has_condition(pod, text(g, "/conditionType"))).count();
    format!("{met}/{}", gates.len()).into()
}
