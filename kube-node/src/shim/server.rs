//! The supervisor's loop.

mod end;
mod ready;
mod request;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::event::PollFlags;
use rustix::process::getpid;
use rustix::termios::{Winsize, tcsetwinsize};

use super::cgroup::Hierarchies;
use super::conn::{Conn, Role};
use super::log::Stream;
use super::protocol::{Event, Frame, Kind, Reply, Report, ShimConfig, Streams, encode};
use super::task::Task;

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
}

fn reply(answer: &Reply) -> Vec<u8> {
    encode(Kind::Control, &serde_json::to_vec(answer).unwrap_or_default())
}
