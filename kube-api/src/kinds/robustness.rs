//! Whatever a client sends: complaints, never a panic.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::Kinds;
use crate::patch;
use crate::schema::{FieldValidation, builtin_definitions};

/// Names that mean something somewhere, so that random objects reach deep.
fn names() -> Vec<String> {
    let of = |d: crate::schema::SchemaRef| d.properties.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    let wanted = [
        "Pod",
        "PodSpec",
        "Container",
        "ContainerPort",
        "Volume",
        "ServiceSpec",
        "DeploymentSpec",
        "ObjectMeta",
        "Probe",
    ];
    let mut names: Vec<String> = builtin_definitions()
        .filter(|d| d.name.starts_with("io.k8s.") && wanted.contains(&d.short_name()))
        .flat_map(of)
        .collect();
    names.extend(
        ["subsets", "endpoints", "addresses", "data", "$patch", "$retainKeys", "template"].map(str::to_owned),
    );
    names.sort();
    names.dedup();
    names
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof!["[a-zA-Z0-9/.:%*-]{0,12}", Just("RollingUpdate".to_owned()), Just("replace".to_owned())]
            .prop_map(Value::from),
    ];
    let key = prop::sample::select(names());
    leaf.prop_recursive(8, 96, 6, move |inner| {
        let entry = (key.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(entry, 0..8)
                .prop_map(|e| Value::Object(e.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_object_makes_a_kind_panic(object in value(), other in value()) {
        let now = jiff::Timestamp::UNIX_EPOCH;
        for kind in Kinds::builtin().iter() {
            let (mut new, mut created) = (object.clone(), object.clone());
            let _ = kind.schema.check(&mut new.clone(), &[], FieldValidation::Strict);
            kind.default(&mut new);
            kind.prepare_create(&mut created);
            kind.prepare_update(&mut new.clone(), &other);
            kind.prepare_status_update(&mut new.clone(), &other);
            kind.to_storage(&mut new.clone());
            kind.from_storage(&mut new.clone());
            let complaints = kind.validate(&new).len() + kind.validate_update(&new, &other).len();
            prop_assert!(complaints > 0);
            prop_assert_eq!(kind.printer.cells(&new, now).len(), kind.printer.columns().len());
            let _ = patch::strategic_merge(&other, &object, &kind.schema);
        }
    }

    #[test]
    fn defaulting_twice_changes_nothing(object in value()) {
        for kind in Kinds::builtin().iter() {
            let mut once = object.clone();
            kind.default(&mut once);
            let mut twice = once.clone();
            kind.default(&mut twice);
            prop_assert_eq!(once, twice);
        }
    }
}
