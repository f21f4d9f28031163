//! The paths of a kind and their operations.

use serde_json::{Map, Value, json};

use super::flavor::Flavor;
use super::{parameters, place, schemas};
use crate::kinds::{Kind, Subresource};
use crate::schema::{self, SchemaRef};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const ANY_TYPE: &[&str] = &["*/*"];
const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// One operation in the making.
struct Operation {
    method: &'static str,
    /// The first word of the operation's id: `list`, `create`.
    word: &'static str,
    /// `x-kubernetes-action`.
    action: &'static str,
    parameters: &'static [&'static str],
    body: Option<(&'static [&'static str], String)>,
    answers: &'static [(&'static str, &'static str)],
    /// What comes back; `None`: plain text.
    returns: Option<String>,
}

const OK: &[(&str, &str)] = &[("200", "OK")];
const CREATED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created")];
const ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created"), ("202", "Accepted")];

/// The definitions that a kind's operations speak of.
pub(super) fn definitions(kind: &Kind) -> Vec<SchemaRef> {
    let mut all = vec![kind.schema.clone()];
    all.extend(schema::builtin(&list_name(kind)));
    all.extend(
        ["DeleteOptions", "Patch", "Status", "WatchEvent"].iter().filter_map(|name| schemas::meta(name)),
    );
    all.extend(kind.subresources.iter().filter_map(part_schema));
    all
}

fn list_name(kind: &Kind) -> String {
    format!("{}List", kind.schema.name)
}

fn part_schema(part: &Subresource) -> Option<SchemaRef> {
    let package =
        if part.group.is_empty() { "core" } else { part.group.split('.').next().unwrap_or_default() };
    schema::builtin(&format!("io.k8s.api.{package}.{}.{}", part.version, part.kind))
}

/// Every path of a kind with its operations.
pub(super) fn paths(flavor: Flavor, kind: &Kind) -> Vec<(String, Value)> {
    let root = format!("/{}", place(kind));
    let scope = if kind.is_namespaced() { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{scope}/{}", kind.plural);
    let mut paths = vec![path(flavor, kind, &collection, collection_operations(kind))];
    if kind.is_virtual {
        return paths;
    }
    if kind.is_namespaced() {
        let everywhere = format!("{root}/{}", kind.plural);
        let list = collection_operations(kind).into_iter().filter(|o| o.action == "list").collect();
        paths.push(path(flavor, kind, &everywhere, list));
    }
    let item = format!("{collection}/{{name}}");
    paths.push(path(flavor, kind, &item, item_operations(kind)));
    for part in &kind.subresources {
        paths.push(path(flavor, kind, &format!("{item}/{}", part.name), part_operations(part)));
    }
    paths
}

fn path(flavor: Flavor, kind: &Kind, path: &str, operations: Vec<Operation>) -> (String, Value) {
    let mut value = Map::new();
    value.insert("parameters".to_owned(), parameters::of_path(flavor, &kind.kind, path).into());
    for operation in operations {
        value.insert(operation.method.to_owned(), describe(flavor, kind, path, &operation));
    }
    (path.to_owned(), Value::Object(value))
}

fn describe(flavor: Flavor, kind: &Kind, path: &str, operation: &Operation) -> Value {
    let last = path.split_once("/{name}/").map_or("", |(_, part)| part);
    let answer = |(code, text): &(&str, &str)| {
        ((*code).to_owned(), flavor.response(text, operation.returns.as_deref()))
    };
    let mut responses: Map<String, Value> = operation.answers.iter().map(answer).collect();
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    let (group, version, of) = match kind.subresource(last) {
        Some(part) => (&part.group, &part.version, &part.kind),
        None => (&kind.group, &kind.version, &kind.kind),
    };
    let mut value = json!({
        "operationId": operation_id(kind, path, last, operation),
        "tags": [format!("{}_{}", camel(&kind.group, false), kind.version)],
        "description": format!("{} {}", operation.action, kind.kind),
        "parameters": parameters::query(flavor, operation.parameters),
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": of},
    });
    if flavor == Flavor::V2 {
        value["produces"] = json!(["application/json", "application/yaml"]);
        value["schemes"] = json!(["https"]);
    }
    if let Some((types, definition)) = &operation.body {
        flavor.body(&mut value, types, definition);
    }
    value
}

/// `rbac.authorization.k8s.io` becomes `RbacAuthorization`.
fn camel(group: &str, first_upper: bool) -> String {
    let group = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
    let words = group.split('.').enumerate();
    words.map(|(i, word)| if i > 0 || first_upper { capital(word) } else { word.to_owned() }).collect()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

fn operation_id(kind: &Kind, path: &str, part: &str, operation: &Operation) -> String {
    let scope = if path.contains("{namespace}") { "Namespaced" } else { "" };
    let everywhere = if kind.is_namespaced() && scope.is_empty() { "ForAllNamespaces" } else { "" };
    let many = if operation.action == "deletecollection" { "Collection" } else { "" };
    let (word, group, version) = (operation.word, camel(&kind.group, true), capital(&kind.version));
    format!("{word}{group}{version}{many}{scope}{}{}{everywhere}", kind.kind, capital(part))
}

fn collection_operations(kind: &Kind) -> Vec<Operation> {
    let mut operations = Vec::new();
    if kind.has_verb("list") {
        operations.push(Operation {
            method: "get",
            word: "list",
            action: "list",
            parameters: parameters::LIST,
            body: None,
            answers: OK,
            returns: Some(list_name(kind)),
        });
    }
    if kind.has_verb("create") {
        operations.push(create(&kind.schema.name));
    }
    if kind.has_verb("deletecollection") {
        operations.push(delete("deletecollection", parameters::DELETE_COLLECTION));
    }
    operations
}

fn create(name: &str) -> Operation {
    Operation {
        method: "post",
        word: "create",
        action: "post",
        parameters: parameters::WRITE,
        body: Some((ANY_TYPE, name.to_owned())),
        answers: ACCEPTED,
        returns: Some(name.to_owned()),
    }
}

fn delete(action: &'static str, parameters: &'static [&'static str]) -> Operation {
    Operation {
        method: "delete",
        word: "delete",
        action,
        parameters,
        body: Some((ANY_TYPE, format!("{META}.DeleteOptions"))),
        answers: ACCEPTED,
        returns: Some(format!("{META}.Status")),
    }
}

fn item_operations(kind: &Kind) -> Vec<Operation> {
    let mut operations: Vec<Operation> =
        kind.verbs.iter().filter_map(|verb| by_verb(verb, &kind.schema.name)).collect();
    if kind.has_verb("delete") {
        operations.push(delete("delete", parameters::DELETE));
    }
    operations
}

fn part_operations(part: &Subresource) -> Vec<Operation> {
    // Streams (exec, attach, portforward, proxy) have no schema.
    let Some(schema) = part_schema(part) else {
        return part.verbs.iter().filter_map(|verb| connect(verb)).collect();
    };
    let mut operations: Vec<Operation> =
        part.verbs.iter().filter_map(|verb| by_verb(verb, &schema.name)).collect();
    if part.name == "log" {
        operations.iter_mut().for_each(|operation| operation.returns = None);
    }
    if part.verbs.iter().any(|verb| verb == "create") {
        operations.push(create(&schema.name));
    }
    operations
}

fn by_verb(verb: &str, name: &str) -> Option<Operation> {
    let operation = |method, word, action, parameters, body, answers| Operation {
        method,
        word,
        action,
        parameters,
        body,
        answers,
        returns: Some(name.to_owned()),
    };
    Some(match verb {
        "get" => operation("get", "read", "get", &[], None, OK),
        "update" => {
            operation("put", "replace", "put", parameters::WRITE, Some((ANY_TYPE, name.to_owned())), CREATED)
        }
        "patch" => {
            let body = Some((PATCH_TYPES, format!("{META}.Patch")));
            operation("patch", "patch", "patch", parameters::PATCH, body, CREATED)
        }
        _ => return None,
    })
}

fn connect(verb: &str) -> Option<Operation> {
    let (method, word) = match verb {
        "get" => ("get", "connectGet"),
        "create" => ("post", "connectPost"),
        "update" => ("put", "connectPut"),
        "patch" => ("patch", "connectPatch"),
        "delete" => ("delete", "connectDelete"),
        _ => return None,
    };
    Some(Operation {
        method,
        word,
        action: "connect",
        parameters: &[],
        body: None,
        answers: OK,
        returns: None,
    })
}
