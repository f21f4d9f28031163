//! Who a container's process is and what it may do.

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::{During, Result};
use crate::shim::oci::{Capabilities, Process, User};

/// Takes on the process's identity and gives up everything it is not to have.
pub(super) fn apply(process: &Process) -> Result<()> {
    let wanted = Sets::parse(&process.capabilities)?;
    // In this order: dropping from the bounding set and changing ids need capabilities that the last step takes away.
    bound(wanted.bounding).during(|| "limit capabilities".into())?;
    set_keep_capabilities(true).during(|| "keep capabilities".into())?;
    identify(&process.user).during(|| "change user".into())?;
    set_keep_capabilities(false).during(|| "keep capabilities".into())?;
    if process.no_new_privileges {
        set_no_new_privs(true).during(|| "refuse new privileges".into())?;
    }
    set_capabilities(None, wanted.sets).during(|| "set capabilities".into())?;
    clear_ambient_capability_set().during(|| "set ambient capabilities".into())?;
    for (_, capability) in wanted.ambient.iter_names() {
        configure_capability_in_ambient_set(capability, true).during(|| "set ambient capabilities".into())?;
    }
    Ok(())
}

fn bound(wanted: CapabilitySet) -> rustix::io::Result<()> {
    for (_, capability) in CapabilitySet::all().iter_names() {
        // The question fails for a capability that this kernel does not know, and nobody has.
        if !wanted.contains(capability) && capability_is_in_bounding_set(capability) == Ok(true) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

fn identify(user: &User) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

#[derive(Debug, PartialEq, Eq)]
struct Sets {
    bounding: CapabilitySet,
    ambient: CapabilitySet,
    sets: CapabilitySets,
}

impl Sets {
    fn parse(names: &Capabilities) -> Result<Self> {
        Ok(Self {
            bounding: parse(&names.bounding)?,
            ambient: parse(&names.ambient)?,
            sets: CapabilitySets {
                effective: parse(&names.effective)?,
                permitted: parse(&names.permitted)?,
                inheritable: parse(&names.inheritable)?,
            },
        })
    }
}

fn parse(names: &[String]) -> Result<CapabilitySet> {
    let one = |name: &String| {
        name.strip_prefix("CAP_")
            .and_then(CapabilitySet::from_name)
            .ok_or_else(|| format!("unknown capability {name}"))
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_names() {
        let names = ["CAP_CHOWN", "CAP_KILL"].map(str::to_owned);
        assert_eq!(parse(&names), Ok(CapabilitySet::CHOWN | CapabilitySet::KILL));
        assert!(parse(&["CAP_FLY".to_owned()]).is_err());
        assert!(parse(&["CHOWN".to_owned()]).is_err());
    }
}
