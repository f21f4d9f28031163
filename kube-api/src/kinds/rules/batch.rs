//! Jobs and cron jobs.

use serde_json::Value;

use super::{Rules, fill, object_at, pod, text};
use crate::kinds::validate::workload as validate;

pub(super) fn job() -> Rules {
    Rules { default, create, validate: validate::job, validate_update: validate::job_update, ..Rules::NONE }
}

pub(super) fn cron_job() -> Rules {
    Rules {
        default: |o| pod::default_template(o, "/spec/jobTemplate/spec/template"),
        validate: validate::cron_job,
        ..Rules::NONE
    }
}

fn default(job: &mut Value) {
    pod::default_template(job, "/spec/template");
    let Some(spec) = job.get_mut("spec").and_then(Value::as_object_mut) else { return };
    // Parallelism was filled in already; completions follow only a parallelism of one.
    if spec.get("completions").is_none() && spec.get("parallelism").is_some_and(|p| p == 1) {
        spec.insert("completions".to_owned(), 1.into());
    }
    let labels = job.pointer("/spec/template/metadata/labels").cloned();
    if let (Some(labels), Some(metadata)) = (labels, object_at(job, &["metadata"])) {
        metadata.entry("labels").or_insert(labels);
    }
}

/// Unless the client brings a selector, the job selects its pods by its own uid.
fn create(job: &mut Value) {
    if job.pointer("/spec/manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let (name, uid) = (text(job, "/metadata/name").to_owned(), text(job, "/metadata/uid").to_owned());
    if uid.is_empty() {
        return;
    }
    if let Some(labels) = object_at(job, &["spec", "template", "metadata", "labels"]) {
        for prefix in ["", "batch.kubernetes.io/"] {
            fill(labels, &format!("{prefix}job-name"), name.as_str());
            fill(labels, &format!("{prefix}controller-uid"), uid.as_str());
        }
    }
    if let Some(selector) = object_at(job, &["spec", "selector", "matchLabels"]) {
        fill(selector, "batch.kubernetes.io/controller-uid", uid);
    }
}
