//! The supervisor's loop.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions, getpid, wait};
use rustix::termios::{Winsize, tcsetwinsize};

use super::cgroup::Hierarchies;
use super::conn::{Conn, Role};
use super::forward::Forward;
use super::launch;
use super::log::{LogFile, Stream};
use super::protocol::{
    ContainerReport, Event, Exit, Frame, Kind, Reply, Report, Request, ShimConfig, StartContainer, StartExec,
    Streams, encode,
};
use super::task::Task;

/// How long the streams of an ended process may stay open because something it left behind still holds them.
const DRAIN: SignedDuration = SignedDuration::from_secs(2);

/// What a file descriptor in the poll set belongs to.
#[derive(Clone, Copy, Debug)]
enum Token {
    Listener,
    Conn(u64),
    Forward(u64),
    Exit,
    Stdin(u64),
    Output(u64, Stream),
}

#[derive(Debug)]
pub(super) struct Server {
    config: ShimConfig,
    listener: UnixListener,
    hierarchies: Hierarchies,
    conns: BTreeMap<u64, Conn>,
    tasks: BTreeMap<u64, Task>,
    bundles: BTreeMap<String, (PathBuf, String)>,
    report: Report,
    next: u64,
    /// Connections to answer once everything has ended.
    shutdown: Option<Vec<u64>>,
}

impl Server {
    pub(super) fn new(config: ShimConfig, listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let report = Report { pid: getpid().as_raw_pid(), containers: Vec::new() };
        let server = Self {
            config,
            listener,
            hierarchies: Hierarchies::detect()?,
            conns: BTreeMap::new(),
            tasks: BTreeMap::new(),
            bundles: BTreeMap::new(),
            report,
            next: 0,
            shutdown: None,
        };
        server.save()?;
        Ok(server)
    }

    /// Serves until [`Request::Shutdown`].
    pub(super) fn run(&mut self) {
        while !self.is_over() {
            for (token, flags) in self.wait() {
                self.handle(token, flags);
            }
            self.reap();
            self.finish_tasks();
            self.sweep_conns();
        }
    }

    fn is_over(&mut self) -> bool {
        let Some(waiting) = &self.shutdown else { return false };
        if !self.tasks.is_empty() {
            return false;
        }
        for id in waiting {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.send_bytes(&reply(&Reply::Done));
            }
        }
        true
    }

    fn wait(&self) -> Vec<(Token, PollFlags)> {
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

    fn handle(&mut self, token: Token, flags: PollFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Conn(id) => self.on_conn(id, flags),
            Token::Forward(id) => self.on_forward(id),
            Token::Exit => {}
            Token::Stdin(id) => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.flush_stdin();
                }
            }
            Token::Output(id, stream) => self.on_output(id, stream),
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            if let Ok(conn) = Conn::new(socket) {
                let id = self.number();
                self.conns.insert(id, conn);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn on_conn(&mut self, id: u64, flags: PollFlags) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if flags.contains(PollFlags::OUT) {
            conn.flush();
        }
        let gone = flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && conn.fill();
        while let Some((kind, payload)) = self.conns.get_mut(&id).and_then(Conn::next_frame) {
            self.on_frame(id, kind, payload);
        }
        if gone && let Some(conn) = self.conns.get_mut(&id) {
            conn.dead = true;
        }
    }

    fn on_frame(&mut self, id: u64, kind: Kind, payload: Vec<u8>) {
        if kind == Kind::Control {
            match serde_json::from_slice(&payload) {
                Ok(request) => self.on_request(id, request),
                Err(error) => self.answer(id, &Reply::Failed(format!("malformed request: {error}"))),
            }
            return;
        }
        let (Some(frame), Some(conn)) = (Frame::decode(kind, payload), self.conns.get_mut(&id)) else {
            return;
        };
        match (&mut conn.role, frame) {
            (Role::Forward(forward), Frame::Data(data)) => forward.push(&data),
            (Role::Forward(forward), Frame::DataEof) => forward.end(),
            (Role::Streams(task), frame) => {
                let task = *task;
                self.on_stream_frame(task, id, frame);
            }
            _ => {}
        }
    }

    fn on_stream_frame(&mut self, task: u64, conn: u64, frame: Frame) {
        let Some(task) = self.tasks.get_mut(&task) else { return };
        if !task.conns.iter().any(|(id, streams)| *id == conn && (streams.stdin || task.tty)) {
            return;
        }
        match frame {
            Frame::Stdin(data) => task.push_stdin(&data),
            Frame::StdinEof if !task.init || task.stdin_once => task.end_stdin(),
            Frame::Resize(columns, rows) => {
                let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
                if let Some(terminal) = task.stdout.as_ref().filter(|_| task.tty) {
                    // The process may have ended this moment; its terminal's size no longer matters then.
                    let _ended = tcsetwinsize(terminal, size);
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, id: u64, answer: &Reply) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.send_bytes(&reply(answer));
        }
    }

    fn on_request(&mut self, conn: u64, request: Request) {
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
        let launched = launch::start(&self.config, request)?;
        let pid = launched.pid.as_raw_pid();
        let mut task =
            Task::new(&request.id, true, request.tty, launched).map_err(|error| error.to_string())?;
        task.stdin_once = request.stdin_once;
        task.cgroup.clone_from(&request.cgroup);
        if !request.stdin && !request.tty {
            task.stdin = None;
        }
        let limit = self.config.log_line_bytes;
        task.log = request
            .log
            .as_ref()
            .map(|path| LogFile::open(path, limit))
            .transpose()
            .map_err(|e| e.to_string())?;
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
        let _absent = std::fs::remove_dir_all(self.config.dir.join("oci").join(id));
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
        let running =
            self.tasks.values().any(|task| task.init && task.container == request.id && task.exit.is_none());
        let (bundle, _) = self.bundles.get(&request.id).filter(|_| running).ok_or(None)?;
        let launched = launch::exec(&self.config, bundle, request, number).map_err(Some)?;
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

    fn update(&self, id: &str, resources: &serde_json::Value) -> Reply {
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

    fn on_output(&mut self, id: u64, stream: Stream) {
        let mut buffer = [0_u8; 32 << 10];
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(n) = task.read(stream, &mut buffer) else { return };
        let data = buffer.get(..n).unwrap_or_default();
        let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
        let wanted =
            |streams: &Streams| if stream == Stream::Stdout { streams.stdout } else { streams.stderr };
        for (conn, _) in task.conns.iter().filter(|(_, streams)| wanted(streams)) {
            if let Some(conn) = self.conns.get_mut(conn) {
                conn.send_bytes(&encode(kind, data));
            }
        }
    }

    fn on_forward(&mut self, id: u64) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Role::Forward(forward) = &mut conn.role else { return };
        forward.flush();
        if forward.remote_ended {
            return;
        }
        match forward.read() {
            Some(data) if data.is_empty() => {
                forward.remote_ended = true;
                conn.send(&Frame::DataEof);
            }
            Some(data) => conn.send(&Frame::Data(data)),
            None => {}
        }
    }

    /// Collects ended children: the pod's own processes and orphans that came to the supervisor.
    fn reap(&mut self) {
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
    fn finish_tasks(&mut self) {
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

    fn publish(&mut self, event: &Event) {
        for conn in self.conns.values_mut().filter(|conn| matches!(conn.role, Role::Subscriber)) {
            conn.send(&Frame::Event(event.clone()));
        }
    }

    fn save(&self) -> io::Result<()> {
        let path = self.config.dir.join("state.json");
        let fresh = self.config.dir.join("state.json.new");
        std::fs::write(&fresh, serde_json::to_vec(&self.report)?)?;
        std::fs::rename(fresh, path)
    }

    /// Forgets closed connections; an exec nobody listens to any more is killed.
    fn sweep_conns(&mut self) {
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

fn reply(answer: &Reply) -> Vec<u8> {
    encode(Kind::Control, &serde_json::to_vec(answer).unwrap_or_default())
}

fn done(result: Result<(), String>) -> Reply {
    result.map_or_else(Reply::Failed, |()| Reply::Done)
}
