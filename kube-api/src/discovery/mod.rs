//! What the server serves, as clients ask for it: `/api`, `/apis`, the resources of one version, and all of it at once
//! (aggregated discovery). Everything is derived from [`Kinds`]; the caller keeps the answers for as long as the table lives.

use serde_json::{Value, json};

use crate::kinds::{GroupVersion, Kind, Kinds, Scope, Subresource};

#[cfg(test)]
mod tests;

/// `/api`: the versions of the core group. `address` is how clients reach the server, `host:port`.
pub fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`: every group but the core group.
pub fn api_group_list(kinds: &Kinds) -> Value {
    let groups: Vec<Value> = kinds.groups().iter().map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`. `None`: there is no such group.
pub fn api_group(kinds: &Kinds, name: &str) -> Option<Value> {
    let mut value = kinds.groups().iter().find(|g| g.group == name).map(group)?;
    if let Value::Object(map) = &mut value {
        map.insert("kind".to_owned(), "APIGroup".into());
        map.insert("apiVersion".to_owned(), "v1".into());
    }
    Some(value)
}

fn group(group: &GroupVersion) -> Value {
    let version = |v: &String| json!({"groupVersion": format!("{}/{v}", group.group), "version": v});
    json!({
        "name": group.group,
        "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(version),
    })
}

/// `/api/v1` and `/apis/GROUP/VERSION`: the resources and subresources. `None`: there is no such version.
pub fn api_resource_list(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<Value> = kinds
        .of_version(group, version)
        .flat_map(|kind| std::iter::once(resource(kind)).chain(parts(kind)))
        .collect();
    if resources.is_empty() {
        return None;
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

fn resource(kind: &Kind) -> Value {
    let mut value = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.is_namespaced(),
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    for (key, names) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
        if !names.is_empty() {
            value[key] = json!(names);
        }
    }
    if !kind.is_virtual {
        value["storageVersionHash"] = storage_hash(kind).into();
    }
    value
}

/// Names the stored version without saying it: clients compare it to see that objects were rewritten.
fn storage_hash(kind: &Kind) -> String {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    let stored = &kind.storage;
    let digest = Sha256::digest(format!("{}/{}/{}", stored.group, stored.version, kind.kind));
    base64::engine::general_purpose::STANDARD.encode(digest.get(..8).unwrap_or_default())
}

fn parts(kind: &Kind) -> impl Iterator<Item = Value> {
    kind.subresources.iter().map(|part| {
        let mut value = json!({
            "name": format!("{}/{}", kind.plural, part.name),
            "singularName": "",
            "namespaced": kind.is_namespaced(),
            "kind": part.kind,
            "verbs": part.verbs,
        });
        if part.group != kind.group || part.version != kind.version {
            value["group"] = part.group.as_ref().into();
            value["version"] = part.version.as_ref().into();
        }
        value
    })
}

/// Aggregated discovery, the answer to `application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList`: for `/api`
/// with `core`, otherwise for `/apis`.
pub fn aggregated(kinds: &Kinds, core: bool) -> Value {
    let groups = if core {
        vec![GroupVersion { group: String::new(), versions: vec!["v1".to_owned()] }]
    } else {
        kinds.groups()
    };
    let items: Vec<Value> = groups.iter().map(|group| aggregated_group(kinds, group)).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_group(kinds: &Kinds, group: &GroupVersion) -> Value {
    let version = |version: &String| {
        let mut resources: Vec<Value> =
            kinds.of_version(&group.group, version).map(|k| aggregated_kind(k)).collect();
        resources.sort_by(|a, b| a["resource"].as_str().cmp(&b["resource"].as_str()));
        json!({"version": version, "resources": resources, "freshness": "Current"})
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let metadata = if group.group.is_empty() { json!({}) } else { json!({"name": group.group}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_kind(kind: &Kind) -> Value {
    let mut value = json!({
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": if kind.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    for (key, names) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
        if !names.is_empty() {
            value[key] = json!(names);
        }
    }
    if !kind.subresources.is_empty() {
        value["subresources"] = kind.subresources.iter().map(aggregated_part).collect();
    }
    value
}

fn aggregated_part(part: &Subresource) -> Value {
    json!({
        "subresource": part.name,
        "responseKind": {"group": part.group, "version": part.version, "kind": part.kind},
        "verbs": part.verbs,
    })
}
