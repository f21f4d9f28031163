//! The system calls that neither the standard library nor rustix offers, or offers only as `unsafe`.
//!
//! This is the only place of the supervisor with `unsafe` code; every function here is safe to call within what its text says.

#![expect(unsafe_code, reason = "the wrappers of this module are where it ends")]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::Pid;

use super::cgroup::Instruction;

/// Which namespaces [`unshare`] makes new.
pub(super) use rustix::thread::UnshareFlags as Namespaces;

/// How much of a tree of mounts is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// The topmost mount.
    One,
    /// All of them.
    All,
}

/// What [`change_mount`] changes of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MountChange {
    /// Attributes (`MOUNT_ATTR_…`) to add; none is ever taken away.
    pub(super) attributes: u32,
    /// The new propagation type (`MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`); 0 leaves it.
    pub(super) propagation: u64,
}

/// Runs `child` in a copy of this process, which ends when `child` returns or panics; returns the copy's process id.
///
/// Meant for a process with one thread, as the supervisor is. Were there others, a lock one of them holds would stay locked in the copy.
pub(super) fn fork(child: impl FnOnce()) -> io::Result<Pid> {
    /// Ends the process without running what others have registered for its end.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            // SAFETY: `_exit` has no preconditions; what it leaves out (destructors, buffers) belongs to the original process.
            unsafe { libc::_exit(1) }
        }
    }
    // SAFETY: the supervisor has one thread, so the copy is whole: no lock is held in it by a thread that is not there. The
    // copy never returns from here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let _end = End;
        child();
    }
    if pid <= 0 {
        return Err(io::Error::last_os_error());
    }
    Pid::from_raw(pid).ok_or_else(io::Error::last_os_error)
}

/// Replaces this process's program; returns only when that fails. The new program ignores no signal, whatever this one, and who started it,
/// ignore.
pub(super) fn execute(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all three are valid C strings and null-terminated lists of such, alive until the call has failed. The default
    // action is no handler that could run at a wrong moment; signals that have no other are refused, which does no harm.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr());
    }
    io::Error::last_os_error()
}

/// Closes every file descriptor above the standard streams but one.
///
/// Only for a forked child that goes its own way: whatever else believes to own a descriptor must not be used any more.
pub(super) fn close_all_but(keep: BorrowedFd<'_>) -> io::Result<()> {
    let keep = keep.as_raw_fd().unsigned_abs();
    for (first, last) in [(3, keep.saturating_sub(1)), (keep.saturating_add(1).max(3), u32::MAX)] {
        // SAFETY: closing touches no memory; that nothing uses these descriptors any more is the caller's promise.
        if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Changes the mount (or the tree of mounts) that `mount` refers to, attached or not. Linux 5.12.
pub(super) fn change_mount(mount: BorrowedFd<'_>, depth: Depth, change: MountChange) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: change.attributes.into(),
        attr_clr: 0,
        propagation: change.propagation,
        userns_fd: 0,
    };
    let recursive = if depth == Depth::All { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the structure lives through the call and its size is its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves this process into new namespaces.
pub(super) fn unshare(namespaces: Namespaces) -> io::Result<()> {
    if namespaces.contains(Namespaces::FILES) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the one flag that takes file descriptors away from other threads has just been refused.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Gives the kernel a program that decides about devices (`BPF_PROG_TYPE_CGROUP_DEVICE`).
pub(super) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    /// The part of `union bpf_attr` that loading needs.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        program: u64,
        licence: u64,
        log: [u32; 4],
        version: u32,
        flags: u32,
    }
    let load = Load {
        kind: 15,
        count: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        program: program.as_ptr() as u64,
        licence: c"Apache-2.0".as_ptr() as u64,
        log: [0; 4],
        version: 0,
        flags: 0,
    };
    // SAFETY: the structure is what the command takes, and what it points to lives through the call and has the lengths it says.
    let descriptor = unsafe { libc::syscall(libc::SYS_bpf, 5, &raw const load, size_of::<Load>()) };
    match i32::try_from(descriptor) {
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets a program decide about the devices of a cgroup, beside those that do already.
pub(super) fn attach_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    /// The part of `union bpf_attr` that attaching needs: group, program, `BPF_CGROUP_DEVICE`, `BPF_F_ALLOW_MULTI`.
    #[repr(C)]
    struct Attach([i32; 4]);
    let attach = Attach([group.as_raw_fd(), program.as_raw_fd(), 6, 2]);
    // SAFETY: the structure is what the command takes and lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, 8, &raw const attach, size_of::<Attach>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
