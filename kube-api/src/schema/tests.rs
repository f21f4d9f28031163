use serde_json::json;

use super::*;

fn pod() -> SchemaRef {
    builtin("io.k8s.api.core.v1.Pod").unwrap()
}

#[test]
fn every_definition_parses_and_every_description_is_found() {
    let mut lines = 0;
    for definition in builtin_definitions() {
        assert!(builtin(&definition.name).is_some(), "{}", definition.name);
        lines = definition.line.unwrap() + definition.properties.len();
        assert!(definition.properties.windows(2).all(|w| w[0].name < w[1].name), "{}", definition.name);
    }
    assert!(lines > 3000);
    let spec = builtin("io.k8s.api.apps.v1.DeploymentSpec").unwrap();
    assert!(description(spec.line.unwrap()).unwrap().starts_with("DeploymentSpec is the specification"));
    let at = spec.properties.iter().position(|p| p.name == "paused").unwrap();
    assert_eq!(description(spec.line.unwrap() + 1 + at), Some("Indicates that the deployment is paused."));
}

#[test]
fn properties_know_how_they_are_merged() {
    let spec = builtin("io.k8s.api.core.v1.PodSpec").unwrap();
    let containers = &spec.property("containers").unwrap().schema;
    assert!(containers.patch.merge);
    assert_eq!(containers.merge_key.as_deref(), Some("name"));
    assert_eq!(containers.list_type, Some(ListType::Map(vec!["name".into()])));
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let mut value = json!({"spec": {"foo": 1, "containers": [{"name": "a", "imge": "b"}]}, "metadata": null});
    let strict = pod().check(&mut value.clone(), &["spec.x".into()], FieldValidation::Strict).unwrap_err();
    assert_eq!(
        strict.for_kind("Pod", "v1"),
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: \
         unknown field \"spec.containers[0].imge\", unknown field \"spec.foo\", duplicate field \"spec.x\""
    );
    let warnings = pod().check(&mut value, &[], FieldValidation::Warn).unwrap();
    assert_eq!(warnings.len(), 2);
    assert_eq!(value, json!({"spec": {"containers": [{"name": "a"}]}}));
}

#[test]
fn wrong_types_are_refused_in_gos_words() {
    let cases = [
        (
            json!({"spec": "x"}),
            "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec",
        ),
        (
            json!({"spec": {"containers": [{"name": 1}]}}),
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            json!({"spec": {"priority": 3_000_000_000_i64}}),
            "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            json!({"metadata": {"labels": {"a": true}}}),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (json!([]), "json: cannot unmarshal array into Go value of type v1.Pod"),
    ];
    for (mut value, text) in cases {
        let error = pod().check(&mut value, &[], FieldValidation::Warn).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn quantities_and_times_become_canonical() {
    let mut value = json!({
        "metadata": {"creationTimestamp": "2024-05-01T10:00:00.123+02:00"},
        "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]},
    });
    pod().check(&mut value, &[], FieldValidation::Warn).unwrap();
    assert_eq!(value["metadata"]["creationTimestamp"], "2024-05-01T08:00:00Z");
    assert_eq!(
        value["spec"]["containers"][0]["resources"]["limits"],
        json!({"cpu": "500m", "memory": "1Gi"})
    );
}
