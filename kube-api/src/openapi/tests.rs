use super::*;

fn api() -> OpenApi {
    OpenApi::new(Kinds::builtin().clone())
}

fn v3(place: &str) -> Value {
    serde_json::from_slice(&api().v3(place).unwrap().bytes).unwrap()
}

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(target) if key == "$ref" => found.push(target.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn check_references(value: &Value) {
    let mut found = Vec::new();
    references(value, &mut found);
    assert!(!found.is_empty());
    for target in found {
        assert!(value.pointer(target.strip_prefix('#').unwrap()).is_some(), "{target}");
    }
}

#[test]
fn every_reference_is_defined() {
    let api = api();
    let index: Value = serde_json::from_slice(&api.v3_index()).unwrap();
    for (place, entry) in index["paths"].as_object().unwrap() {
        let document = api.v3(place).unwrap();
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert_eq!(url, format!("/openapi/v3/{place}?hash={}", document.hash));
        check_references(&serde_json::from_slice(&document.bytes).unwrap());
    }
    assert!(api.v3("apis/nothing/v1").is_none());
}

#[test]
fn patches_tell_clients_what_the_server_can_do() {
    let document = v3("apis/apps/v1");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    assert_eq!(patch["x-kubernetes-group-version-kind"], kind);
    let parameters = patch["parameters"].as_array().unwrap();
    let has = |name: &str| parameters.iter().any(|p| p["name"] == name);
    assert!(has("fieldValidation") && has("dryRun"));
}

#[test]
fn schemas_look_as_upstream_publishes_them() {
    let document = v3("apis/apps/v1");
    let schemas = &document["components"]["schemas"];
    let spec = &schemas["io.k8s.api.apps.v1.DeploymentSpec"];
    assert_eq!(spec["required"], json!(["selector", "template"]));
    assert_eq!(
        spec["properties"]["strategy"],
        json!({
            "allOf": [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}],
            "default": {},
            "description": "The deployment strategy to use to replace existing pods with new ones.",
            "x-kubernetes-patch-strategy": "retainKeys",
        })
    );
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    let item =
        json!({"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}], "default": {}});
    assert_eq!(containers["items"], item);
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
}

#[test]
fn version_two_has_everything_in_one_document() {
    let value: Value = serde_json::from_slice(&api().v2().bytes).unwrap();
    check_references(&value);
    let create = &value["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"];
    assert!(create["parameters"].as_array().unwrap().iter().any(|p| p["in"] == "body"));
}
