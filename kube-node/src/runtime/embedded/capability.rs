//! Capabilities.

use rustix::thread::CapabilitySet;

use crate::seam::Capabilities;

/// What a container has unless told otherwise; the same as in containerd and CRI-O.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A container's capabilities as `CAP_…`; `own` is the mask of those this process has, because it cannot give others.
pub(super) fn resolve(wanted: &Capabilities, privileged: bool, own: u64) -> Result<Vec<String>, String> {
    let add = parse(&wanted.add)?;
    let drop = parse(&wanted.drop)?;
    let all = |names: &[&str]| names.contains(&"ALL");
    let has = |name: &str| {
        if privileged {
            return true;
        }
        let base = if all(&drop) { false } else { all(&add) || DEFAULT.contains(&name) };
        (base && !drop.contains(&name))
            || (add.contains(&name))
            || (all(&add) && !all(&drop) && !drop.contains(&name))
    };
    let own = CapabilitySet::from_bits_retain(own);
    Ok(own.iter_names().filter(|(name, _)| has(name)).map(|(name, _)| format!("CAP_{name}")).collect())
}

fn parse(names: &[String]) -> Result<Vec<&'static str>, String> {
    let known = |name: &String| {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let mut known = CapabilitySet::all().iter_names().map(|(name, _)| name).chain(["ALL"]);
        known.find(|known| *known == short).ok_or_else(|| format!("unknown capability {name:?}"))
    };
    names.iter().map(known).collect()
}

/// The mask of the capabilities this process may use.
pub(super) fn own() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapBnd:")?.trim(), 16).ok());
    mask.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], privileged: bool, own: u64, expected: &[&str]) {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let wanted = Capabilities { add: list(add), drop: list(drop) };
        let expected: Vec<String> = expected.iter().map(|name| format!("CAP_{name}")).collect();
        assert_eq!(resolve(&wanted, privileged, own).unwrap(), expected);
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        check(&["NET_ADMIN"], &["ALL"], false, u64::MAX, &["NET_ADMIN"]);
        check(&[], &["ALL"], false, u64::MAX, &[]);
        check(&["ALL"], &["CHOWN"], false, 0b11, &["DAC_OVERRIDE"]);
        check(&["cap_kill"], &["ALL"], false, u64::MAX, &["KILL"]);
    }

    #[test]
    fn the_default_set_has_14_and_privileged_has_all_this_process_has() {
        assert_eq!(resolve(&Capabilities::default(), false, u64::MAX).unwrap().len(), 14);
        check(&[], &[], true, 0b101, &["CHOWN", "DAC_READ_SEARCH"]);
        assert!(resolve(&Capabilities { add: vec!["FLY".into()], drop: vec![] }, false, 0).is_err());
    }
}
