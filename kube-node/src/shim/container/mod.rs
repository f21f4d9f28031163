//! Starting a container and executing a further process in one. Only ever called in the single-threaded supervisor.
//!
//! The supervisor forks a helper. The helper goes to the container's cgroup and aims at its process namespace, forks once more (only a
//! child enters a process namespace) and ends; what it forked becomes the container's process and the supervisor's child. Everything
//! that goes wrong on the way travels back as text over one socket, which closes by itself when the program is executed.
//!
//! Nothing of the container's file system is trusted: every path in it is walked component by component below its root
//! ([`resolve`]), every mount is made detached and then attached to the file descriptor that walk ended at, and no name is resolved
//! twice. The processes on the way are not dumpable, so that nobody in a shared process namespace can look into them, and their program
//! is mounted read-only ([`seal`](super::seal)).
//!
//! | module | what |
//! |---|---|
//! | `start` | a container's first process: the steps in their order |
//! | `exec` | a further process: the steps in their order |
//! | `spawn`, `channel` | the two forks, and what the children say |
//! | `rootfs` | from the host's file system to the container's |
//! | `resolve` | paths below a root |
//! | `mounts`, `cgroup_view`, `masks`, `devices` | what is put there |
//! | `stdio`, `terminal` | standard streams |
//! | `credentials` | ids, groups, capabilities |
//! | `program` | working directory, search, execution |

mod cgroup_view;
mod channel;
mod credentials;
mod devices;
mod exec;
mod masks;
mod mounts;
mod program;
mod resolve;
mod rootfs;
mod spawn;
mod start;
mod stdio;
mod terminal;

use std::io;

pub(super) use exec::{Target, exec};
pub(super) use rootfs::renounce;
pub(super) use start::start;

/// Errors are texts: they are made in another process, and their only reader is a person.
type Result<T> = std::result::Result<T, String>;

/// An error's text as users know it from other runtimes: lower case and without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Says what was being done when an error came.
trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for std::result::Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| format!("{}: {}", what(), reason(&error.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_done_and_why_it_failed() {
        let result: std::result::Result<(), _> = Err(rustix::io::Errno::NOENT);
        assert_eq!(result.during(|| "open x".into()), Err("open x: no such file or directory".to_owned()));
    }
}
