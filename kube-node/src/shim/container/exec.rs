//! A further process in a running container: the steps in their order.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::resolve::Root;
use super::spawn::spawn;
use super::start::{join_group, read_spec};
use super::{During, Result, program, stdio, terminal};
use crate::shim::cgroup::Hierarchies;
use crate::shim::oci::Process;
use crate::shim::protocol::StartExec;
use crate::shim::sys;
use crate::shim::task::Launched;

/// The container to join.
#[derive(Clone, Copy, Debug)]
pub(in crate::shim) struct Target<'a> {
    pub(in crate::shim) bundle: &'a Path,
    pub(in crate::shim) cgroup: &'a str,
    /// Its first process.
    pub(in crate::shim) init: BorrowedFd<'a>,
}

/// Runs a further process in a container.
///
/// The helper does everything but execute the program. So the process is born into the container's process namespace with the
/// container's root and rights, and never shows anything more to those who are in there already.
pub(in crate::shim) fn exec(
    hierarchies: &Hierarchies,
    target: Target<'_>,
    request: &StartExec,
) -> Result<Launched> {
    let process = &process(target.bundle, request)?;
    let (ours, theirs) = stdio::open(process.terminal, request.streams)?;
    let spawned = spawn(
        |channel| {
            join_group(hierarchies, target.cgroup, process)?;
            join_namespaces(target.init)?;
            let terminal = process.terminal.then(open_terminal).transpose()?;
            theirs.install(channel, process, terminal)?;
            sys::close_all_but(channel.fd()).during(|| "close files".into())?;
            program::settle(process)
        },
        |channel, ()| {
            stdio::begin_session(process)?;
            program::execute(channel, process)
        },
    )?;
    ours.launched(spawned)
}

/// The container's own process with other arguments.
fn process(bundle: &Path, request: &StartExec) -> Result<Process> {
    let process = read_spec(bundle)?.process;
    Ok(Process { args: request.args.clone(), terminal: request.tty, ..process })
}

/// Mounts, processes and the view of cgroups are the container's; the rest is the pod's, and so this process's already.
fn join_namespaces(init: BorrowedFd<'_>) -> Result<()> {
    let namespaces =
        ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::PROCESS_ID | ThreadNameSpaceType::CONTROL_GROUP;
    move_into_thread_name_spaces(init, namespaces).during(|| "join the container's namespaces".into())
}

fn open_terminal() -> Result<terminal::Terminal> {
    let root = Root::open(Path::new("/")).during(|| "open the root".into())?;
    terminal::open(root.fd()).during(|| "open a terminal".into())
}
