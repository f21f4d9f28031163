use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::attachment::is_identifier;
use crate::{Attachment, Error, Result};

/// The versions this client speaks to plugins, oldest first.
pub(crate) const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The largest configuration file read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A network configuration list: a named chain of plugins.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkList {
    /// The network's name, unique on the host.
    pub name: String,
    /// The version of the protocol its plugins are spoken to in.
    pub cni_version: String,
    /// Whether `CHECK` is to be skipped.
    pub disable_check: bool,
    /// Whether `GC` is to be skipped.
    pub disable_gc: bool,
    /// The chain, in the order of `ADD`.
    pub plugins: Vec<Plugin>,
}

/// One plugin of a chain, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The name of the binary.
    pub kind: String,
    /// Its whole configuration object.
    pub config: Map<String, Value>,
}

impl NetworkList {
    /// Parses a configuration list, or a configuration of a single plugin, which becomes a list of one.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field that is missing or wrong.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let invalid = |message: String| Error::Invalid { message };
        let object: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|e| invalid(format!("error parsing configuration list: {e}")))?;
        let text = |field: &str| object.get(field).and_then(Value::as_str).map(str::to_owned);
        let flag = |field: &str| object.get(field).is_some_and(|v| v == true || v == "true");
        let name = text("name").ok_or_else(|| invalid("error parsing configuration list: no name".into()))?;
        if !is_identifier(&name) {
            return Err(invalid(format!("{name:?} is not a network name")));
        }
        let cni_version = negotiated(&object)?;
        let plugins = match object.get("plugins") {
            Some(Value::Array(plugins)) if !plugins.is_empty() => plugins.iter().map(Plugin::parse).collect(),
            Some(_) => Err(invalid(format!("error parsing configuration list {name}: no plugins in list"))),
            None => Plugin::parse(&Value::Object(object.clone())).map(|plugin| vec![plugin]),
        }?;
        Ok(Self {
            name,
            cni_version,
            disable_check: flag("disableCheck"),
            disable_gc: flag("disableGC"),
            plugins,
        })
    }

    /// Reads the first network of a folder: the `.conflist`, `.conf` or `.json` file that comes first by name.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] if there is no such file, [`Error::Invalid`] if the first one is wrong.
    pub fn first_in(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let path =
            config_files(dir)?.into_iter().next().ok_or_else(|| Error::NotConfigured { dir: dir.into() })?;
        let read = Error::io(format!("reading {}", path.display()));
        let size = std::fs::metadata(&path).map(|m| m.len());
        match size.and_then(|size| if size <= MAX_FILE_BYTES { std::fs::read(&path) } else { Ok(Vec::new()) })
        {
            Ok(json) if json.is_empty() => {
                Err(Error::Invalid { message: format!("{} is empty or too large", path.display()) })
            }
            Ok(json) => Self::parse(&json),
            Err(error) => Err(read(error)),
        }
    }

    pub(crate) fn at_least(&self, version: &str) -> bool {
        let rank = |v: &str| VERSIONS.iter().position(|known| *known == v);
        rank(&self.cni_version) >= rank(version)
    }

    /// The list as the cache keeps it.
    pub(crate) fn to_json(&self) -> Value {
        let plugins: Vec<_> =
            self.plugins.iter().map(|plugin| Value::Object(plugin.config.clone())).collect();
        json!({"cniVersion": self.cni_version, "name": self.name, "disableCheck": self.disable_check, "plugins": plugins})
    }
}

impl Plugin {
    fn parse(config: &Value) -> Result<Self> {
        let invalid = |message: &str| Error::Invalid { message: message.into() };
        let Value::Object(config) = config else {
            return Err(invalid("a plugin's configuration is not an object"));
        };
        let kind = config.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind.is_empty() || kind.contains('/') || kind == ".." {
            return Err(invalid("error parsing configuration: missing or invalid plugin 'type'"));
        }
        Ok(Self { kind: kind.into(), config: config.clone() })
    }

    /// What this plugin reads on stdin: its configuration with the list's name and version, the values of the capabilities it
    /// announces, and the result so far.
    pub(crate) fn request(
        &self,
        list: &NetworkList,
        attachment: Option<&Attachment>,
        previous: Option<&Value>,
    ) -> Value {
        let mut config = self.config.clone();
        let capabilities = config.remove("capabilities");
        let announced =
            |name: &str| capabilities.as_ref().and_then(|c| c.get(name)) == Some(&Value::Bool(true));
        let values = attachment.map(|a| a.capability_args.clone()).unwrap_or_default();
        let runtime: Map<_, _> = values.into_iter().filter(|(name, _)| announced(name)).collect();
        if !runtime.is_empty() {
            config.insert("runtimeConfig".into(), Value::Object(runtime));
        }
        config.insert("name".into(), list.name.clone().into());
        config.insert("cniVersion".into(), list.cni_version.clone().into());
        if let Some(previous) = previous {
            config.insert("prevResult".into(), previous.clone());
        }
        Value::Object(config)
    }
}

/// The newest version that the list allows (`cniVersions`, else `cniVersion`) and this client speaks.
fn negotiated(list: &Map<String, Value>) -> Result<String> {
    let single = list.get("cniVersion").and_then(Value::as_str).unwrap_or("0.1.0");
    let mut offered: Vec<&str> = vec![single];
    if let Some(Value::Array(versions)) = list.get("cniVersions") {
        offered.extend(versions.iter().filter_map(Value::as_str));
    }
    let best = VERSIONS.iter().rev().find(|version| offered.contains(version));
    best.map(|version| (*version).to_owned()).ok_or_else(|| Error::Invalid {
        message: format!("cniVersion {single:?} is not one of {}", VERSIONS.join(", ")),
    })
}

fn config_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(format!("reading {}", dir.display()))(error)),
    };
    let is_config = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "conflist" || e == "conf" || e == "json") && path.is_file()
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_config).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
