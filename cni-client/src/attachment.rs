use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// One container's interface on one network: the parameters of the specification's section 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// The container's identity, unique while it is attached.
    pub container_id: String,
    /// The path of its network namespace. Empty for a `DEL` after the namespace has gone.
    pub netns: PathBuf,
    /// The interface's name inside the namespace, at most 15 bytes.
    pub ifname: String,
    /// Extra arguments (`CNI_ARGS`), such as `K8S_POD_NAME`.
    pub args: Vec<(String, String)>,
    /// Values for plugins that announce a capability (`portMappings`, `bandwidth`, `dns`, …), by capability.
    pub capability_args: Map<String, Value>,
}

impl Attachment {
    /// An attachment without extra arguments.
    pub fn new(
        container_id: impl Into<String>,
        netns: impl Into<PathBuf>,
        ifname: impl Into<String>,
    ) -> Self {
        Self {
            container_id: container_id.into(),
            netns: netns.into(),
            ifname: ifname.into(),
            args: Vec::new(),
            capability_args: Map::new(),
        }
    }

    /// `CNI_ARGS`: `key=value` pairs joined by semicolons.
    pub(crate) fn cni_args(&self) -> String {
        self.args.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";")
    }

    /// Checks what the specification asks of these values, before they become parts of paths and environments.
    pub(crate) fn validate(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::Invalid { message });
        if !is_identifier(&self.container_id) {
            return invalid(format!(
                "container ID {:?} is not [a-zA-Z0-9][a-zA-Z0-9_.-]*",
                self.container_id
            ));
        }
        let name = self.ifname.as_str();
        let allowed = |c: char| c != '/' && c != ':' && !c.is_whitespace() && !c.is_control();
        if name.is_empty() || name.len() > 15 || name == "." || name == ".." || !name.chars().all(allowed) {
            return invalid(format!("{name:?} is not an interface name"));
        }
        let separable = |s: &str| !s.contains([';', '\0']);
        match self.args.iter().find(|(key, value)| !separable(key) || key.contains('=') || !separable(value))
        {
            Some((key, _)) => invalid(format!("argument {key:?} can't be passed on")),
            None => Ok(()),
        }
    }
}

/// The form of container identities and network names: they become parts of file names.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_parameters_are_refused() {
        let cases = [
            ("a", "eth0", true),
            ("", "eth0", false),
            ("../../etc", "eth0", false),
            ("a b", "eth0", false),
            ("a", "", false),
            ("a", "..", false),
            ("a", "sixteen-bytes-xx", false),
            ("a", "et/h0", false),
            ("a", "et h0", false),
        ];
        for (id, ifname, good) in cases {
            assert_eq!(Attachment::new(id, "/ns", ifname).validate().is_ok(), good, "{id:?} {ifname:?}");
        }
        let mut attachment = Attachment::new("a", "/ns", "eth0");
        attachment.args.push(("A".into(), "1;B=2".into()));
        assert!(attachment.validate().is_err());
    }
}
