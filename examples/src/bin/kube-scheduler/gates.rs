//! Feature gates: those that change something here, and all others.

use std::collections::BTreeMap;

use examples::Failure;
use serde_json::{Value, json};

/// The gates of upstream that can be turned on here and are off by default.
const KNOWN: [&str; 2] = ["DRADeviceTaints", "DRAPartitionableDevices"];

/// The gates that were set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gates(BTreeMap<String, bool>);

impl Gates {
    /// Reads `Name=true` and the like; says on stderr which gates have no effect.
    #[expect(clippy::print_stderr, reason = "logs are not set up yet, and a user should see it in any case")]
    pub(crate) fn parse(list: &[String]) -> Result<Self, Failure> {
        let mut gates = BTreeMap::new();
        for item in list.iter().filter(|item| !item.is_empty()) {
            let (name, value) =
                item.split_once('=').ok_or_else(|| format!("missing bool value for {item}"))?;
            let on = match value {
                "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
                "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
                _ => {
                    let cause = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
                    return Err(format!("invalid value of {name}={value}, err: {cause}").into());
                }
            };
            if KNOWN.contains(&name) {
                gates.insert(name.to_owned(), on);
            } else {
                eprintln!("note: the feature gate {name} has no effect");
            }
        }
        Ok(Self(gates))
    }

    /// The arguments of the plugin that the gates are about, with the gates.
    pub(crate) fn extend(&self, args: &Value) -> Value {
        let mut args = args.clone();
        if self.0.is_empty() {
            return args;
        }
        if args.is_null() {
            args = json!({});
        }
        if let Some(fields) = args.as_object_mut() {
            fields.insert("featureGates".to_owned(), json!(self.0));
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_as_upstream_does() {
        let parse = |item: &str| Gates::parse(&[item.to_owned()]).map_err(|error| error.to_string());
        assert_eq!(parse("DRADeviceTaints=true").unwrap().0, [("DRADeviceTaints".to_owned(), true)].into());
        assert!(parse("SomethingElse=false").unwrap().0.is_empty());
        assert_eq!(parse("A").unwrap_err(), "missing bool value for A");
        assert_eq!(
            parse("A=x").unwrap_err(),
            "invalid value of A=x, err: strconv.ParseBool: parsing \"x\": invalid syntax"
        );
    }

    #[test]
    fn gates_are_arguments_of_the_plugin() {
        let gates = Gates::parse(&["DRADeviceTaints=1".to_owned()]).unwrap();
        assert_eq!(gates.extend(&Value::Null), json!({"featureGates": {"DRADeviceTaints": true}}));
        let args = json!({"filterTimeout": "5s"});
        assert_eq!(Gates::default().extend(&args), args);
        assert_eq!(gates.extend(&args)["filterTimeout"], "5s");
    }
}
