//! Volumes of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::container::descending;
use super::{Errors, each, number, text};
use crate::field::FieldError;
use crate::kinds::names;

/// The volumes of a pod's specification; answers their names.
pub(super) fn volumes<'v>(errors: &mut Errors, spec: &'v Value, path: &str) -> BTreeSet<&'v str> {
    let mut seen = BTreeSet::new();
    for (path, volume) in each(spec, path, "volumes") {
        let name = text(volume, "name");
        if errors.required(volume, &path, "name") {
            errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_label(name));
        }
        if !seen.insert(name) {
            errors.add(FieldError::duplicate(format!("{path}.name"), name));
        }
        source(errors, volume, &path);
    }
    seen
}

fn source(errors: &mut Errors, volume: &Value, path: &str) {
    let mut sources = volume.as_object().into_iter().flatten().filter(|(key, _)| *key != "name");
    let Some((kind, value)) = sources.next() else {
        errors.add(FieldError::required(path, "must specify a volume type"));
        return;
    };
    for (other, _) in sources {
        let detail = "may not specify more than 1 volume type";
        errors.add(FieldError::forbidden(format!("{path}.{other}"), detail));
    }
    let path = format!("{path}.{kind}");
    match kind.as_str() {
        "hostPath" => {
            let up = text(value, "path").split('/').any(|part| part == "..");
            errors.required(value, &path, "path");
            if up {
                let path = format!("{path}.path");
                errors.add(FieldError::invalid(path, text(value, "path"), "must not contain '..'"));
            }
        }
        "secret" => {
            errors.required(value, &path, "secretName");
            files(errors, value, &path);
        }
        "configMap" => {
            errors.required(value, &path, "name");
            files(errors, value, &path);
        }
        "persistentVolumeClaim" => {
            errors.required(value, &path, "claimName");
        }
        "downwardAPI" => files(errors, value, &path),
        "projected" => {
            mode(errors, value, &path, "defaultMode");
            for (path, source) in each(value, &path, "sources") {
                for (kind, source) in source.as_object().into_iter().flatten() {
                    files(errors, source, &format!("{path}.{kind}"));
                }
            }
        }
        _ => {}
    }
}

fn mode(errors: &mut Errors, object: &Value, path: &str, key: &str) {
    if let Some(value) = number(object, key).filter(|m| !(0..=0o777).contains(m)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.add(FieldError::invalid(format!("{path}.{key}"), value, detail));
    }
}

/// Keys and the files they become.
fn files(errors: &mut Errors, source: &Value, path: &str) {
    mode(errors, source, path, "defaultMode");
    for (path, item) in each(source, path, "items") {
        if item.get("fieldRef").is_none() && item.get("resourceFieldRef").is_none() {
            errors.required(item, &path, "key");
        }
        if errors.required(item, &path, "path") {
            descending(errors, text(item, "path"), &format!("{path}.path"));
        }
        mode(errors, item, &path, "mode");
    }
}
