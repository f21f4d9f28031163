//! A container's first process: the steps in their order.

use std::convert::Infallible;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::{getpid, umask};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::channel::Channel;
use super::rootfs::{self, Plan};
use super::spawn::spawn;
use super::stdio::{self, Theirs};
use super::{During, Result, program};
use crate::shim::cgroup::Hierarchies;
use crate::shim::oci::{NamespaceKind, Process, Spec};
use crate::shim::protocol::{ShimConfig, StartContainer, Streams};
use crate::shim::sys::{self, Namespaces};
use crate::shim::task::Launched;

/// Creates and starts a container from its bundle.
pub(in crate::shim) fn start(
    config: &ShimConfig,
    hierarchies: &Hierarchies,
    request: &StartContainer,
) -> Result<Launched> {
    let spec = read_spec(&request.bundle)?;
    let rootfs = request.bundle.join(&spec.root.path);
    let plan =
        Plan { spec: &spec, layers: &config.layers, overlay: &request.overlay, rootfs: &rootfs, hierarchies };
    let started = make_group(hierarchies, &request.cgroup, &spec).and_then(|()| run(&plan, request));
    started.map_err(|text| {
        let killed = hierarchies.oom_kills(&request.cgroup) > 0;
        // What the container's processes could not start in is not left behind.
        let _busy = hierarchies.remove(&request.cgroup);
        if killed { format!("container init was OOM-killed (memory limit too low?): {text}") } else { text }
    })
}

/// A bundle's specification.
pub(super) fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).during(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).during(|| format!("read {}", path.display()))
}

fn make_group(hierarchies: &Hierarchies, group: &str, spec: &Spec) -> Result<()> {
    let resources = &spec.linux.resources;
    hierarchies.create(group).during(|| format!("create cgroup {group}"))?;
    hierarchies.limit(group, resources).during(|| "apply limits".into())?;
    hierarchies.restrict_devices(group, &resources.devices).during(|| "restrict devices".into())
}

fn run(plan: &Plan<'_>, request: &StartContainer) -> Result<Launched> {
    let process = &plan.spec.process;
    let (ours, theirs) = stdio::open(process.terminal, Streams::new(request.stdin, true, true))?;
    let spawned = spawn(
        |_| {
            join_group(plan.hierarchies, &request.cgroup, process)?;
            choose_pid_namespace(plan.spec)?;
            Ok(theirs)
        },
        |channel, theirs| become_container(channel, plan, theirs),
    )?;
    ours.launched(spawned)
}

/// Puts this process under the container's limits.
pub(super) fn join_group(hierarchies: &Hierarchies, group: &str, process: &Process) -> Result<()> {
    const SCORE: &str = "/proc/self/oom_score_adj";
    umask(Mode::from_raw_mode(0o022));
    hierarchies.join(group, getpid()).during(|| format!("join cgroup {group}"))?;
    if fs::write(SCORE, process.oom_score_adj.to_string()).is_err() {
        // Lowering it needs a privilege that not every machine gives; 0 needs none.
        let _refused = fs::write(SCORE, process.oom_score_adj.max(0).to_string());
    }
    Ok(())
}

/// Makes children enter the container's process namespace; this process stays outside.
fn choose_pid_namespace(spec: &Spec) -> Result<()> {
    let what = || "enter the process namespace".to_owned();
    let wanted = spec.linux.namespaces.iter().find(|namespace| namespace.kind == NamespaceKind::Pid);
    match wanted.map(|namespace| &namespace.path) {
        None => Ok(()),
        Some(None) => sys::unshare(Namespaces::NEWPID).during(what),
        Some(Some(path)) => {
            let file = File::open(path).during(|| format!("open {}", path.display()))?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::ProcessID)).during(what)
        }
    }
}

fn become_container(channel: &Channel, plan: &Plan<'_>, theirs: Theirs) -> Result<Infallible> {
    let process = &plan.spec.process;
    let mut namespaces = Namespaces::NEWNS;
    let own_view = plan.spec.linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Cgroup);
    namespaces.set(Namespaces::NEWCGROUP, own_view);
    sys::unshare(namespaces).during(|| "make namespaces".into())?;
    let terminal = rootfs::enter(plan)?;
    theirs.install(channel, process, terminal)?;
    sys::close_all_but(channel.fd()).during(|| "close files".into())?;
    stdio::begin_session(process)?;
    program::settle(process)?;
    program::execute(channel, process)
}
