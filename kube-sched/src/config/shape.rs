//! Which fields a document has, so that what is no such field, or has another type, is named in the words of upstream's decoder.
//!
//! Serde finds the same mistakes, but says neither where they are nor what the type is called in upstream's documentation.

use serde_json::Value;

/// What a value must be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Bool,
    Int32,
    Int64,
    Float32,
    /// A text such as `10s`.
    Duration,
    /// Bytes in base64.
    Bytes,
    /// Not looked into here.
    Any,
    List(&'static Shape),
    Struct(&'static Struct),
}

/// A type of upstream's and its fields.
#[derive(Debug)]
struct Struct {
    name: &'static str,
    fields: &'static [(&'static str, Shape)],
}

use Shape::{Any, Bool, Bytes, Duration, Float32, Int32, Int64, List, Text};

static DOCUMENT: Struct = Struct {
    name: "KubeSchedulerConfiguration",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("parallelism", Int32),
        ("leaderElection", Shape::Struct(&LEADER_ELECTION)),
        ("clientConnection", Shape::Struct(&CLIENT_CONNECTION)),
        ("enableProfiling", Bool),
        ("enableContentionProfiling", Bool),
        ("percentageOfNodesToScore", Int32),
        ("podInitialBackoffSeconds", Int64),
        ("podMaxBackoffSeconds", Int64),
        ("profiles", List(&Shape::Struct(&PROFILE))),
        ("extenders", List(&Shape::Struct(&EXTENDER))),
        ("delayCacheUntilActive", Bool),
    ],
};

static LEADER_ELECTION: Struct = Struct {
    name: "LeaderElectionConfiguration",
    fields: &[
        ("leaderElect", Bool),
        ("leaseDuration", Duration),
        ("renewDeadline", Duration),
        ("retryPeriod", Duration),
        ("resourceLock", Text),
        ("resourceName", Text),
        ("resourceNamespace", Text),
    ],
};

static CLIENT_CONNECTION: Struct = Struct {
    name: "ClientConnectionConfiguration",
    fields: &[
        ("kubeconfig", Text),
        ("acceptContentTypes", Text),
        ("contentType", Text),
        ("qps", Float32),
        ("burst", Int32),
    ],
};

static PROFILE: Struct = Struct {
    name: "KubeSchedulerProfile",
    fields: &[
        ("schedulerName", Text),
        ("percentageOfNodesToScore", Int32),
        ("plugins", Shape::Struct(&PLUGINS)),
        ("pluginConfig", List(&Shape::Struct(&PLUGIN_CONFIG))),
    ],
};

const SET: Shape = Shape::Struct(&PLUGIN_SET);

static PLUGINS: Struct = Struct {
    name: "Plugins",
    fields: &[
        ("preEnqueue", SET),
        ("queueSort", SET),
        ("preFilter", SET),
        ("filter", SET),
        ("postFilter", SET),
        ("preScore", SET),
        ("score", SET),
        ("reserve", SET),
        ("permit", SET),
        ("preBind", SET),
        ("bind", SET),
        ("postBind", SET),
        ("multiPoint", SET),
    ],
};

static PLUGIN_SET: Struct = Struct {
    name: "PluginSet",
    fields: &[("enabled", List(&Shape::Struct(&PLUGIN))), ("disabled", List(&Shape::Struct(&PLUGIN)))],
};

static PLUGIN: Struct = Struct { name: "Plugin", fields: &[("name", Text), ("weight", Int32)] };

static PLUGIN_CONFIG: Struct = Struct { name: "PluginConfig", fields: &[("name", Text), ("args", Any)] };

static EXTENDER: Struct = Struct {
    name: "Extender",
    fields: &[
        ("urlPrefix", Text),
        ("filterVerb", Text),
        ("preemptVerb", Text),
        ("prioritizeVerb", Text),
        ("weight", Int64),
        ("bindVerb", Text),
        ("enableHTTPS", Bool),
        ("tlsConfig", Shape::Struct(&TLS)),
        ("httpTimeout", Duration),
        ("nodeCacheCapable", Bool),
        ("managedResources", List(&Shape::Struct(&MANAGED_RESOURCE))),
        ("ignorable", Bool),
    ],
};

static TLS: Struct = Struct {
    name: "ExtenderTLSConfig",
    fields: &[
        ("insecure", Bool),
        ("serverName", Text),
        ("certFile", Text),
        ("keyFile", Text),
        ("caFile", Text),
        ("certData", Bytes),
        ("keyData", Bytes),
        ("caData", Bytes),
    ],
};

static MANAGED_RESOURCE: Struct =
    Struct { name: "ExtenderManagedResource", fields: &[("name", Text), ("ignoredByScheduler", Bool)] };

/// What is wrong with the fields of a document without nulls: the first value of another type, or else all that are no fields.
pub(super) fn check(document: &Value) -> Result<(), String> {
    let mut walk = Walk { unknown: Vec::new(), path: String::new(), names: Vec::new() };
    walk.value(Shape::Struct(&DOCUMENT), document, "")?;
    match walk.unknown.as_slice() {
        [] => Ok(()),
        unknown => Err(format!("strict decoding error: {}", unknown.join(", "))),
    }
}

struct Walk {
    unknown: Vec<String>,
    /// Where it is, as errors about fields write that.
    path: String,
    /// The names of the fields above, which is all that errors about types say.
    names: Vec<&'static str>,
}

impl Walk {
    fn value(&mut self, shape: Shape, value: &Value, owner: &str) -> Result<(), String> {
        match (shape, value) {
            (Shape::Struct(of), Value::Object(fields)) => {
                fields.iter().try_for_each(|(name, value)| self.field(of, name, value))
            }
            (List(shape), Value::Array(items)) => {
                let length = self.path.len();
                for (place, item) in items.iter().enumerate() {
                    self.path += &format!("[{place}]");
                    self.value(*shape, item, owner)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
            _ if fits(shape, value) => Ok(()),
            _ => Err(self.mismatch(shape, value, owner)),
        }
    }

    fn field(&mut self, of: &'static Struct, name: &str, value: &Value) -> Result<(), String> {
        let length = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path += name;
        let checked = match of.fields.iter().find(|(known, _)| *known == name) {
            Some((name, shape)) => {
                self.names.push(name);
                let checked = self.value(*shape, value, of.name);
                self.names.pop();
                checked
            }
            None => {
                self.unknown.push(format!("unknown field {:?}", self.path));
                Ok(())
            }
        };
        self.path.truncate(length);
        checked
    }

    fn mismatch(&self, shape: Shape, value: &Value, owner: &str) -> String {
        let found = match value {
            Value::Number(number) if matches!(shape, Int32 | Int64 | Float32) => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
            Value::Null => "null".to_owned(),
        };
        // Durations read their text themselves, so that their decoder does not know where it is.
        let place = match shape {
            Duration => "Go value".to_owned(),
            _ => format!("Go struct field {owner}.{}", self.names.join(".")),
        };
        format!("json: cannot unmarshal {found} into {place} of type {}", go_type(shape))
    }
}

fn fits(shape: Shape, value: &Value) -> bool {
    match shape {
        Text | Duration | Bytes => value.is_string(),
        Bool => value.is_boolean(),
        Int32 => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Int64 => value.is_i64(),
        Float32 => value.is_number(),
        Any => true,
        List(_) | Shape::Struct(_) => false,
    }
}

fn go_type(shape: Shape) -> String {
    match shape {
        Text | Duration => "string".to_owned(),
        Bool => "bool".to_owned(),
        Int32 => "int32".to_owned(),
        Int64 => "int64".to_owned(),
        Float32 => "float32".to_owned(),
        Bytes => "[]uint8".to_owned(),
        Any => "interface {}".to_owned(),
        List(shape) => format!("[]{}", go_type(*shape)),
        Shape::Struct(of) => match of.name {
            "LeaderElectionConfiguration" | "ClientConnectionConfiguration" => {
                format!("v1alpha1.{}", of.name)
            }
            name => format!("v1.{name}"),
        },
    }
}
