//! What the agent asks for.

use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::process::Signal;

use super::{Server, reply};
use crate::shim::conn::Role;
use crate::shim::container::{self, Target};
use crate::shim::forward::Forward;
use crate::shim::log::LogFile;
use crate::shim::oci::Resources;
use crate::shim::protocol::{ContainerReport, Event, Reply, Request, StartContainer, StartExec, Streams};
use crate::shim::task::Task;

impl Server {
    pub(super) fn answer(&mut self, id: u64, answer: &Reply) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.send_bytes(&reply(answer));
        }
    }

    pub(super) fn on_request(&mut self, conn: u64, request: Request) {
        let answer = match request {
            Request::Report => Reply::Report(self.report.clone()),
            Request::Start(request) => done(self.start(&request)),
            Request::Kill { id, signal } => self.with_init(&id, |task| {
                let signal = Signal::from_named_raw(signal).ok_or(format!("{signal} is not a signal"))?;
                task.signal(signal).map_err(|error| error.to_string())
            }),
            Request::Delete { id } => done(self.delete(&id)),
            Request::ReopenLog { id } => self.with_init(&id, |task| match &mut task.log {
                Some(log) => log.reopen().map_err(|error| error.to_string()),
                None => Ok(()),
            }),
            Request::Exec(request) => return self.exec(conn, &request),
            Request::Attach { id, streams } => self.attach(conn, &id, streams),
            Request::Forward { port } => return self.forward(conn, port),
            Request::Update { id, resources } => self.update(&id, &resources),
            Request::Subscribe => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.role = Role::Subscriber;
                }
                Reply::Done
            }
            Request::Shutdown => return self.begin_shutdown(conn),
        };
        self.answer(conn, &answer);
    }

    fn with_init(&mut self, id: &str, act: impl FnOnce(&mut Task) -> Result<(), String>) -> Reply {
        match self.tasks.values_mut().find(|task| task.init && task.container == id) {
            Some(task) => done(act(task)),
            None => Reply::NotFound(id.to_owned()),
        }
    }

    fn start(&mut self, request: &StartContainer) -> Result<(), String> {
        if self.bundles.contains_key(&request.id) || self.shutdown.is_some() {
            return Err("the container has been started before".to_owned());
        }
        // Before the container runs: one that cannot be logged must not.
        let log =
            request.log.as_ref().map(|path| LogFile::open(path, self.config.log_line_bytes)).transpose();
        let log = log.map_err(|error| format!("log file: {error}"))?;
        let launched = container::start(&self.config, &self.hierarchies, request)?;
        let pid = launched.pid.as_raw_pid();
        let mut task =
            Task::new(&request.id, true, request.tty, launched).map_err(|error| error.to_string())?;
        task.log = log;
        task.stdin_once = request.stdin_once;
        task.cgroup.clone_from(&request.cgroup);
        if !request.stdin && !request.tty {
            task.stdin = None;
        }
        let number = self.number();
        self.tasks.insert(number, task);
        self.bundles.insert(request.id.clone(), (request.bundle.clone(), request.cgroup.clone()));
        let started_at = Timestamp::now();
        self.report.containers.push(ContainerReport { id: request.id.clone(), pid, started_at, exit: None });
        self.save().map_err(|error| format!("state file: {error}"))?;
        self.publish(&Event::Started { id: request.id.clone() });
        Ok(())
    }

    fn delete(&mut self, id: &str) -> Result<(), String> {
        if self.tasks.values().any(|task| task.init && task.container == id) {
            return Err("the container is running".to_owned());
        }
        if let Some((_, cgroup)) = self.bundles.remove(id) {
            // A process that is still dying keeps the group busy; the agent removes the pod's whole group later.
            let _busy = self.hierarchies.remove(&cgroup);
        }
        self.report.containers.retain(|container| container.id != id);
        self.save().map_err(|error| format!("state file: {error}"))
    }

    fn exec(&mut self, conn: u64, request: &StartExec) {
        let number = self.number();
        let answer = match self.start_exec(conn, request, number) {
            Ok(()) => Reply::Done,
            Err(None) => Reply::NotFound(request.id.clone()),
            Err(Some(error)) => Reply::Failed(error),
        };
        self.answer(conn, &answer);
    }

    fn start_exec(&mut self, conn: u64, request: &StartExec, number: u64) -> Result<(), Option<String>> {
        let runs = |task: &&Task| task.init && task.container == request.id && task.exit.is_none();
        let init = self.tasks.values().find(runs).ok_or(None)?;
        let (bundle, cgroup) = self.bundles.get(&request.id).ok_or(None)?;
        let target = Target { bundle, cgroup, init: init.pidfd.as_fd() };
        let launched = container::exec(&self.hierarchies, target, request).map_err(Some)?;
        let mut task =
            Task::new(&request.id, false, request.tty, launched).map_err(|error| Some(error.to_string()))?;
        task.conns.push((conn, request.streams));
        self.tasks.insert(number, task);
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.role = Role::Streams(number);
        }
        Ok(())
    }

    fn attach(&mut self, conn: u64, id: &str, streams: Streams) -> Reply {
        let found = self.tasks.iter_mut().find(|(_, task)| task.init && task.container == id);
        let (Some((number, task)), Some(connection)) = (found, self.conns.get_mut(&conn)) else {
            return Reply::NotFound(id.to_owned());
        };
        task.conns.push((conn, streams));
        connection.role = Role::Streams(*number);
        Reply::Done
    }

    fn forward(&mut self, conn: u64, port: u16) {
        match Forward::connect(port) {
            Ok(forward) => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.role = Role::Forward(Box::new(forward));
                }
                self.answer(conn, &Reply::Done);
            }
            Err(error) => self.answer(conn, &Reply::Failed(format!("connect to port {port}: {error}"))),
        }
    }

    fn update(&self, id: &str, resources: &Resources) -> Reply {
        match self.bundles.get(id) {
            Some((_, cgroup)) => {
                done(self.hierarchies.limit(cgroup, resources).map_err(|error| error.to_string()))
            }
            None => Reply::NotFound(id.to_owned()),
        }
    }

    fn begin_shutdown(&mut self, conn: u64) {
        self.shutdown.get_or_insert_default().push(conn);
        for task in self.tasks.values() {
            // Already ended is as good as killed.
            let _ended = task.signal(Signal::KILL);
        }
    }
}

fn done(result: Result<(), String>) -> Reply {
    result.map_or_else(Reply::Failed, |()| Reply::Done)
}
