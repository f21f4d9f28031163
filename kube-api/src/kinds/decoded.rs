//! What is the same once it is read into Go's types, as which upstream compares objects.
//!
//! There `null`, an empty list and an empty map are nothing, a structure or a scalar that is always written is there even if
//! the text lacks it, and amounts are numbers. Structures behind pointers are something even when they are empty
//! (`emptyDir: {}`); the schema tells them apart. Scalars of which OpenAPI does not say whether they are behind pointers
//! count as if they were, so that what may matter (`storageClassName: ""`) is never taken for nothing.

use serde_json::{Map, Value};

use crate::field::FieldError;
use crate::quantity::Quantity;
use crate::schema::{Definition, Schema, Type};

/// The complaints of a comparison of two objects, less those about differences that are none.
///
/// Objects are compared as they are first, which is all that is done for updates without complaints: what is the same as
/// text is the same when decoded. Complaints keep the values that the client wrote.
pub(super) fn complaints(
    definition: &Definition,
    new: &Value,
    old: &Value,
    compare: impl Fn(&Value, &Value) -> Vec<FieldError>,
) -> Vec<FieldError> {
    let mut found = compare(new, old);
    if !found.is_empty() {
        let real = compare(&decoded(definition, new), &decoded(definition, old));
        found.retain(|error| real.iter().any(|other| (other.kind, &other.path) == (error.kind, &error.path)));
    }
    found
}

/// The object with everything left out that is nothing, and amounts written in one way.
pub(super) fn decoded(definition: &Definition, object: &Value) -> Value {
    let Value::Object(map) = object else { return object.clone() };
    let fields = map.iter().filter_map(|(name, value)| {
        let value = match definition.property(name) {
            Some(property) => field(&property.schema, value),
            None => Some(value.clone()).filter(|value| !value.is_null()),
        };
        Some((name.clone(), value?))
    });
    fields.collect::<Map<_, _>>().into()
}

fn field(schema: &Schema, value: &Value) -> Option<Value> {
    let value = element(&schema.ty, value);
    let nothing = match (&value, &schema.ty) {
        (Value::Null, _) => true,
        (Value::Array(list), _) => list.is_empty(),
        (Value::Object(map), Type::Map(_)) => map.is_empty(),
        (Value::String(bytes), Type::Bytes) => bytes.is_empty(),
        _ => schema.default.as_ref() == Some(&value),
    };
    (!nothing).then_some(value)
}

fn element(ty: &Type, value: &Value) -> Value {
    match (ty, value) {
        (Type::List(item), Value::Array(list)) => list.iter().map(|value| element(&item.ty, value)).collect(),
        (Type::Map(item), Value::Object(map)) => {
            let elements = map.iter().map(|(key, value)| (key.clone(), element(&item.ty, value)));
            elements.collect::<Map<_, _>>().into()
        }
        (Type::Struct(definition), value) => match &definition.scalar {
            Some(scalar) => element(scalar, value),
            None => decoded(definition, value),
        },
        (Type::Quantity, Value::String(text)) => match text.parse::<Quantity>() {
            Ok(amount) => format!("{}n", amount.nanos()).into(),
            Err(_) => value.clone(),
        },
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinds::Kinds;

    use super::*;

    #[track_caller]
    fn check(group: &str, plural: &str, (a, b): (Value, Value), same: bool) {
        let kind = Kinds::builtin().find(group, "v1", plural).unwrap();
        let wrap = |spec: &Value| decoded(&kind.schema, &json!({"spec": spec}));
        assert_eq!(wrap(&a) == wrap(&b), same, "{a} {b}");
    }

    #[test]
    fn nothing_is_the_same_however_it_is_written() {
        for (a, b) in [
            (json!({}), Value::Null),
            (json!({}), json!({"devices": {}})),
            (json!({}), json!({"devices": {"requests": [], "constraints": null}})),
            (
                json!({"devices": {"requests": [{"name": "a"}]}}),
                json!({"devices": {"requests": [{"name": "a", "firstAvailable": []}]}}),
            ),
        ] {
            check("resource.k8s.io", "resourceclaims", (a, b), true);
        }
        for (a, b) in [
            (json!({"devices": {"requests": [{"name": "a"}]}}), json!({"devices": {"requests": []}})),
            (
                json!({"devices": {"requests": [{"name": "a", "exactly": {}}]}}),
                json!({"devices": {"requests": [{"name": "a"}]}}),
            ),
        ] {
            check("resource.k8s.io", "resourceclaims", (a, b), false);
        }
        for (a, b, same) in [
            (json!({"nodeSelector": {}}), json!({}), true),
            (json!({"nodeSelector": {"a": ""}}), json!({}), false),
            (json!({"containers": [{"name": "", "resources": {}}]}), json!({"containers": [{}]}), true),
            (json!({"volumes": [{"emptyDir": {}}]}), json!({"volumes": [{}]}), false),
            (
                json!({"overhead": {"cpu": "1000m", "memory": "1Gi"}}),
                json!({"overhead": {"cpu": "1", "memory": "1073741824"}}),
                true,
            ),
            (json!({"overhead": {"cpu": "1"}}), json!({"overhead": {"cpu": "2"}}), false),
            (json!({"runtimeClassName": ""}), json!({}), false),
        ] {
            check("", "pods", (a, b), same);
        }
    }

    #[test]
    fn only_real_differences_are_complained_about() {
        let kind = Kinds::builtin().find("resource.k8s.io", "v1", "resourceclaims").unwrap();
        let claim = |spec: Value| json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": spec});
        let check = |new: Value| {
            let errors = kind.validate_update(&claim(new), &claim(json!({})));
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(check(json!({"devices": {"requests": []}})), Vec::<String>::new());
        assert_eq!(
            check(json!({"devices": {"constraints": [{}], "requests": []}})),
            ["spec: Invalid value: {\"devices\":{\"constraints\":[{}],\"requests\":[]}}: field is immutable"]
        );
    }

    #[test]
    fn generations_count_real_changes() {
        let kind = Kinds::builtin().find("apps", "v1", "deployments").unwrap();
        let deployment = |spec: Value| json!({"metadata": {"generation": 4}, "spec": spec});
        for (spec, generation) in
            [(json!({"selector": {"matchExpressions": []}}), 4), (json!({"paused": true}), 5)]
        {
            let mut new = deployment(spec);
            kind.prepare_update(&mut new, &deployment(json!({"selector": {}})));
            assert_eq!(new["metadata"]["generation"], generation);
        }
    }
}
