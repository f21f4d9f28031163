//! A document as `/configz` shows it: upstream serves its internal types there, whose fields have Go's names and are never absent.

use serde_json::{Map, Value, json};

use super::document::Document;
use crate::plugins::{NodeAffinity, NodeResourcesFit, PodTopologySpread, VolumeBinding};

/// Fields whose names are not simply the document's with a capital.
const NAMES: [(&str, &str); 6] = [
    ("qps", "QPS"),
    ("urlPrefix", "URLPrefix"),
    ("httpTimeout", "HTTPTimeout"),
    ("tlsConfig", "TLSConfig"),
    ("caFile", "CAFile"),
    ("caData", "CAData"),
];
/// Fields that hold objects of the API, which keep the API's names.
const FOREIGN: [&str; 2] = ["addedAffinity", "defaultConstraints"];

/// A complete document under its internal names.
pub(super) fn internal(document: &Document) -> Result<Value, serde_json::Error> {
    let mut shown = renamed(serde_json::to_value(document)?);
    if let Some(fields) = shown.as_object_mut() {
        let version = fields.remove("ApiVersion").unwrap_or_default();
        fields.insert("apiVersion".to_owned(), version);
        fields.remove("Kind");
        fill(fields, &json!({"Extenders": null, "DelayCacheUntilActive": false}));
    }
    items(&mut shown, "Profiles").for_each(profile);
    items(&mut shown, "Extenders").for_each(extender);
    Ok(shown)
}

fn items<'a>(value: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = value.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn renamed(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(renamed).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| field(&name, value)).collect(),
        // Go writes whole numbers without a fraction, whatever their type.
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(value) if value.fract() == 0.0 => Value::from(value as i64),
            _ => Value::Number(number),
        },
        other => other,
    }
}

fn field(name: &str, value: Value) -> (String, Value) {
    let value = if FOREIGN.contains(&name) { value } else { renamed(value) };
    if let Some((_, shown)) = NAMES.iter().find(|(known, _)| *known == name) {
        return ((*shown).to_owned(), value);
    }
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    (first.into_iter().chain(letters).collect(), value)
}

fn fill(fields: &mut Map<String, Value>, defaults: &Value) {
    for (name, value) in defaults.as_object().into_iter().flatten() {
        fields.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

fn profile(profile: &mut Map<String, Value>) {
    fill(profile, &json!({"PercentageOfNodesToScore": null}));
    let sets = profile.get_mut("Plugins").and_then(Value::as_object_mut);
    for set in sets.into_iter().flatten().filter_map(|(_, set)| set.as_object_mut()) {
        fill(set, &json!({"Enabled": null, "Disabled": null}));
    }
    let configs = profile.get_mut("PluginConfig").and_then(Value::as_array_mut);
    configs.into_iter().flatten().for_each(arguments);
}

fn arguments(config: &mut Value) {
    let absent = match config["Name"].as_str() {
        Some(NodeAffinity::NAME) => json!({"AddedAffinity": null}),
        Some(NodeResourcesFit::NAME) => json!({"IgnoredResources": null, "IgnoredResourceGroups": null}),
        Some(PodTopologySpread::NAME) => json!({"DefaultConstraints": null}),
        Some(VolumeBinding::NAME) => json!({"Shape": null}),
        _ => json!({}),
    };
    let Some(args) = config["Args"].as_object_mut() else { return };
    args.remove("ApiVersion");
    args.remove("Kind");
    fill(args, &absent);
    if let Some(strategy) = args.get_mut("ScoringStrategy").and_then(Value::as_object_mut) {
        fill(strategy, &json!({"RequestedToCapacityRatio": null}));
    }
}

fn extender(extender: &mut Map<String, Value>) {
    let absent = json!({"FilterVerb": "", "PreemptVerb": "", "PrioritizeVerb": "", "Weight": 0, "BindVerb": "",
        "EnableHTTPS": false, "TLSConfig": null, "NodeCacheCapable": false, "ManagedResources": null, "Ignorable": false});
    fill(extender, &absent);
    // Whoever may read a configuration need not be somebody who may speak for the scheduler.
    if let Some(tls) = extender.get_mut("TLSConfig").and_then(Value::as_object_mut) {
        tls.remove("KeyData");
    }
}
