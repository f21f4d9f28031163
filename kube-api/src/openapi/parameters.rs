//! The parameters of operations.

use serde_json::Value;

use super::flavor::Flavor;

/// Name, type, description.
const PARAMETERS: &[(&str, &str, &str)] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "Asks a watch for events of type BOOKMARK, which carry only a resource version.",
    ),
    ("continue", "string", "The token of the previous chunk of a list."),
    (
        "dryRun",
        "string",
        "When present, indicates that modifications should not be persisted. Valid values are: - All: all dry run stages \
         will be processed",
    ),
    (
        "fieldManager",
        "string",
        "The name of the actor that makes these changes, at most 128 printable characters.",
    ),
    ("fieldSelector", "string", "Restricts the objects by their fields. Defaults to everything."),
    (
        "fieldValidation",
        "string",
        "What to do about unknown and duplicate fields. Valid values are: - Ignore: drop them silently. - Warn: drop them \
         and send a warning for each. - Strict: fail the request with a BadRequest error.",
    ),
    ("force", "boolean", "Takes fields of other managers over when an apply conflicts with them."),
    ("gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 deletes immediately."),
    ("labelSelector", "string", "Restricts the objects by their labels. Defaults to everything."),
    ("limit", "integer", "The most objects a list returns; more are available with continue."),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    ("pretty", "string", "If 'true', then the output is pretty printed."),
    ("propagationPolicy", "string", "What happens to dependents: 'Orphan', 'Background' or 'Foreground'."),
    ("resourceVersion", "string", "What resource versions a request may be served from."),
    ("resourceVersionMatch", "string", "How resourceVersion is applied to a list."),
    ("sendInitialEvents", "boolean", "Starts a watch with the current objects."),
    ("timeoutSeconds", "integer", "The duration of a list or watch, in seconds."),
    ("watch", "boolean", "Watch for changes and return them as a stream of events."),
];

pub(super) const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
pub(super) const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
pub(super) const PATCH: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
pub(super) const DELETE: &[&str] = &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];
pub(super) const DELETE_COLLECTION: &[&str] = &[
    "continue",
    "dryRun",
    "fieldSelector",
    "gracePeriodSeconds",
    "labelSelector",
    "limit",
    "orphanDependents",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
];

/// The query parameters of these names.
pub(super) fn query(flavor: Flavor, names: &[&str]) -> Vec<Value> {
    let known = |name: &&str| PARAMETERS.iter().find(|(n, ..)| n == name);
    names.iter().filter_map(known).map(|(name, ty, text)| flavor.parameter("query", name, ty, text)).collect()
}

/// The parameters that every operation of a path shares.
pub(super) fn of_path(flavor: Flavor, kind: &str, path: &str) -> Vec<Value> {
    let mut parameters = Vec::new();
    if path.contains("{name}") {
        parameters.push(flavor.parameter("path", "name", "string", &format!("name of the {kind}")));
    }
    if path.contains("{namespace}") {
        let text = "object name and auth scope, such as for teams and projects";
        parameters.push(flavor.parameter("path", "namespace", "string", text));
    }
    parameters.extend(query(flavor, &["pretty"]));
    parameters
}
