//! How processes and connections end.

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Signal, WaitOptions, wait};

use super::Server;
use crate::shim::conn::{Conn, Role};
use crate::shim::protocol::{Event, Exit, Frame};
use crate::shim::task::Task;

/// How long the streams of an ended process may stay open because something it left behind still holds them.
const DRAIN: SignedDuration = SignedDuration::from_secs(2);

impl Server {
    /// Collects ended children: the pod's own processes and orphans that came to the supervisor.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(task) = self.tasks.values_mut().find(|task| task.pid == pid && task.exit.is_none())
            else {
                continue;
            };
            let signal = status.terminating_signal();
            let code = signal.map_or_else(|| status.exit_status().unwrap_or(255), |signal| 128 + signal);
            let oom = task.init && self.hierarchies.oom_kills(&task.cgroup) > 0;
            task.exit = Some(Exit { code, signal, oom, at: Timestamp::now() });
            if task.init {
                // In a shared process namespace the container's other processes do not end with the first.
                self.hierarchies.kill(&task.cgroup);
            }
        }
    }

    /// Announces ended processes whose output has been read.
    pub(super) fn finish_tasks(&mut self) {
        let now = Timestamp::now();
        let finished =
            |task: &Task| task.exit.filter(|exit| task.is_drained() || now.duration_since(exit.at) > DRAIN);
        let over: Vec<(u64, Exit)> =
            self.tasks.iter().filter_map(|(id, task)| Some((*id, finished(task)?))).collect();
        for (id, exit) in over {
            let Some(task) = self.tasks.remove(&id) else { continue };
            if task.init {
                self.note_exit(&task.container, exit);
            }
            for (conn, _) in &task.conns {
                if let Some(conn) = self.conns.get_mut(conn) {
                    conn.send(&Frame::Exit(exit));
                    conn.closing = true;
                }
            }
        }
    }

    fn note_exit(&mut self, id: &str, exit: Exit) {
        if let Some(container) = self.report.containers.iter_mut().find(|container| container.id == id) {
            container.exit = Some(exit);
        }
        // With a full disk the exit is still known to this process and so to every agent that asks it.
        let _unsaved = self.save();
        self.publish(&Event::Exited { id: id.to_owned(), exit });
    }

    /// Forgets closed connections; an exec nobody listens to any more is killed.
    pub(super) fn sweep_conns(&mut self) {
        let gone: Vec<u64> =
            self.conns.iter().filter(|(_, conn)| conn.finished()).map(|(id, _)| *id).collect();
        for id in gone {
            let Some(Conn { role: Role::Streams(task), .. }) = self.conns.remove(&id) else { continue };
            let Some(task) = self.tasks.get_mut(&task) else { continue };
            task.conns.retain(|(conn, _)| *conn != id);
            if !task.init {
                let _ended = task.signal(Signal::KILL);
            } else if task.stdin_once {
                task.end_stdin();
            }
        }
    }
}
