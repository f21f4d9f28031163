//! What the supervisor waits for.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Server, Token};
use crate::shim::conn::{Conn, Role};
use crate::shim::log::Stream;
use crate::shim::task::Task;

impl Server {
    /// Waits until something can be done, and says what.
    pub(super) fn wait(&self) -> Vec<(Token, PollFlags)> {
        let mut tokens = Vec::new();
        let mut fds = Vec::new();
        let mut add = |token, fd, flags| {
            tokens.push(token);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        add(Token::Listener, self.listener.as_fd(), PollFlags::IN);
        self.conns.iter().for_each(|(id, conn)| self.watch_conn(*id, conn, &mut add));
        self.tasks.iter().for_each(|(id, task)| self.watch_task(*id, task, &mut add));
        let draining = self.tasks.values().any(|task| task.exit.is_some());
        let timeout = if draining {
            Timespec { tv_sec: 0, tv_nsec: 100_000_000 }
        } else {
            Timespec { tv_sec: 30, tv_nsec: 0 }
        };
        if poll(&mut fds, Some(&timeout)).is_err() {
            return Vec::new();
        }
        let ready = fds.iter().map(PollFd::revents);
        tokens.into_iter().zip(ready).filter(|(_, flags)| !flags.is_empty()).collect()
    }

    fn watch_conn<'a>(
        &'a self,
        id: u64,
        conn: &'a Conn,
        add: &mut impl FnMut(Token, rustix::fd::BorrowedFd<'a>, PollFlags),
    ) {
        let mut flags = PollFlags::empty();
        let congested = match &conn.role {
            Role::Streams(task) => self.tasks.get(task).is_some_and(Task::is_full),
            Role::Forward(forward) => forward.is_full(),
            Role::Control | Role::Subscriber => false,
        };
        flags.set(PollFlags::IN, !congested);
        flags.set(PollFlags::OUT, conn.wants_write());
        add(Token::Conn(id), conn.fd(), flags);
        if let Role::Forward(forward) = &conn.role {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !forward.remote_ended && !conn.is_full());
            flags.set(PollFlags::OUT, forward.wants_write());
            if !flags.is_empty() {
                add(Token::Forward(id), forward.fd(), flags);
            }
        }
    }

    fn watch_task<'a>(
        &'a self,
        id: u64,
        task: &'a Task,
        add: &mut impl FnMut(Token, rustix::fd::BorrowedFd<'a>, PollFlags),
    ) {
        if task.exit.is_none() {
            add(Token::Exit, task.pidfd.as_fd(), PollFlags::IN);
        }
        if let Some(stdin) = task.stdin.as_ref().filter(|_| task.wants_stdin_write()) {
            add(Token::Stdin(id), stdin.as_fd(), PollFlags::OUT);
        }
        // An exec whose reader is slow waits for it; a container never waits for somebody attached.
        let congested =
            !task.init && task.conns.iter().any(|(conn, _)| self.conns.get(conn).is_some_and(Conn::is_full));
        for (stream, file) in [(Stream::Stdout, &task.stdout), (Stream::Stderr, &task.stderr)] {
            if let Some(file) = file.as_ref().filter(|_| !congested) {
                add(Token::Output(id, stream), file.as_fd(), PollFlags::IN);
            }
        }
    }
}
