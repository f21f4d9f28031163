use super::*;

#[test]
fn resources_are_listed_with_their_parts() {
    let list = api_resource_list(Kinds::builtin(), "apps", "v1").unwrap();
    assert_eq!(list["groupVersion"], "apps/v1");
    let find = |name: &str| {
        list["resources"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap().clone()
    };
    assert_eq!(find("deployments")["shortNames"], json!(["deploy"]));
    assert_eq!(find("deployments/scale")["group"], "autoscaling");
    assert_eq!(find("deployments/status").get("group"), None);
    assert!(api_resource_list(Kinds::builtin(), "apps", "v2").is_none());
}

#[test]
fn aggregated_discovery_has_everything() {
    let core = aggregated(Kinds::builtin(), true);
    assert_eq!(core["items"].as_array().unwrap().len(), 1);
    assert_eq!(core["items"][0]["versions"][0]["resources"][0]["resource"], "bindings");
    let groups = aggregated(Kinds::builtin(), false);
    assert_eq!(groups["items"][0]["metadata"]["name"], "apps");
    let listed = api_group_list(Kinds::builtin());
    assert_eq!(groups["items"].as_array().unwrap().len(), listed["groups"].as_array().unwrap().len());
    assert_eq!(api_group(Kinds::builtin(), "autoscaling").unwrap()["preferredVersion"]["version"], "v2");
}
