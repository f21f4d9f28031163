//! The first process of a pod's shared process namespace, which lives as long as that process.
//!
//! It is a copy of the supervisor and not a program of its own, so it costs no memory but what the two do not share. Containers of the pod
//! see it, and some may trace it, so it gives up everything that it could be made to do for them: capabilities, files, and the way to
//! the host's file system.

use std::fs::{self, File};
use std::io::{self, Read, Write, pipe};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_name};

use super::container;
use super::sys::{Namespaces, close_all_but, fork, unshare};

/// Starts the process; `<dir>/pid` names its process namespace.
pub(super) fn start(dir: &Path) -> io::Result<()> {
    let own = File::open("/proc/thread-self/ns/pid_for_children")?;
    unshare(Namespaces::NEWPID)?;
    let (mut failure, mut writer) = pipe()?;
    let child = fork(|| {
        let Err(error) = run(dir);
        let _unheard = write!(writer, "kube-pause: {error}");
    });
    drop(writer);
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
    // The pipe ends when the process has given everything up, this pipe too. No container comes before that.
    let mut text = String::new();
    if failure.read_to_string(&mut text)? > 0 {
        return Err(io::Error::other(text));
    }
    let path = dir.join("pid");
    let _stale = fs::remove_file(&path);
    std::os::unix::fs::symlink(format!("/proc/{}/ns/pid", child?.as_raw_pid()), path)
}

/// Inherits orphans and buries them.
fn run(dir: &Path) -> io::Result<std::convert::Infallible> {
    set_name(c"kube-pause")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    container::renounce(dir).map_err(io::Error::other)?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    close_all_but(null.as_fd())?;
    loop {
        // With no child there is nothing to wait for; the pod's end kills this process.
        if waitid(WaitId::All, WaitIdOptions::EXITED).is_err() {
            let _woken = poll(&mut [], Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        }
    }
}
