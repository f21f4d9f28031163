//! The programs that are compared, and servers of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::machine;
use crate::Failure;

/// A program that takes etcd's flags.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: PathBuf,
    /// What only one of them needs to be told.
    extra: &'static [&'static str],
    is_ours: bool,
}

impl Program {
    pub(super) fn ours(path: PathBuf) -> Self {
        Self { path, extra: &[], is_ours: true }
    }

    pub(super) fn etcd(path: PathBuf) -> Self {
        Self { path, extra: &["--logger", "zap", "--log-level", "error"], is_ours: false }
    }

    /// What it says that it is.
    pub(super) fn version(&self) -> Result<String, Failure> {
        let output = Command::new(&self.path).arg("--version").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Starts one member of a group, on the servers' processor.
    fn start(&self, member: &Member, group: &[Member]) -> Result<Child, Failure> {
        let url = |address: &str| format!("http://{address}");
        let mut command = Command::new(&self.path);
        command.arg("--data-dir").arg(&member.data).args(self.extra);
        command.args(["--name", &member.name, "--quota-backend-bytes", "17179869184"]);
        command.args(["--listen-client-urls", &url(&member.clients)]);
        command.args(["--advertise-client-urls", &url(&member.clients)]);
        // Ours keeps no log of proposals when it is alone; etcd cannot go without.
        if group.len() > 1 || !self.is_ours {
            let all: Vec<_> = group.iter().map(|m| format!("{}={}", m.name, url(&m.peers))).collect();
            command.args(["--listen-peer-urls", &url(&member.peers)]);
            command.args(["--initial-advertise-peer-urls", &url(&member.peers)]);
            command.args(["--initial-cluster", &all.join(",")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A child starts where its parent runs, and so do all of its threads.
        machine::pin(machine::SERVERS)?;
        let child = command.spawn().map_err(|error| format!("{}: {error}", self.path.display()));
        machine::pin(machine::LOAD)?;
        Ok(child?)
    }
}

#[derive(Debug)]
struct Member {
    name: String,
    data: PathBuf,
    clients: String,
    peers: String,
}

impl Member {
    fn new(number: usize, dir: &Path) -> Result<Self, Failure> {
        let name = format!("member-{number}");
        Ok(Self { data: dir.join(&name), name, clients: free_address()?, peers: free_address()? })
    }
}

fn free_address() -> Result<String, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The members of a group, or one server alone, in a folder of its own; all end with the value.
#[derive(Debug)]
pub(super) struct Server {
    program: Program,
    members: Vec<Member>,
    running: Vec<Child>,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Starts `count` members with empty folders.
    pub(super) fn start(program: &Program, count: usize) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let members = (0..count).map(|number| Member::new(number, dir.path())).collect::<Result<_, _>>()?;
        let mut server = Self { program: program.clone(), members, running: Vec::new(), _dir: dir };
        server.restart()?;
        Ok(server)
    }

    /// Ends the members as an administrator would, and starts them on the same folders.
    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.stop()?;
        for member in &self.members {
            self.running.push(self.program.start(member, &self.members)?);
        }
        Ok(())
    }

    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        for mut member in self.running.drain(..) {
            let pid = rustix::process::Pid::from_child(&member);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
            member.wait()?;
        }
        Ok(())
    }

    /// Where clients reach each member.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.members.iter().map(|member| member.clients.clone()).collect()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.running.iter().map(Child::id).collect()
    }

    /// Processor time that all members have taken, in seconds.
    pub(super) fn cpu(&self) -> Result<f64, Failure> {
        self.pids().into_iter().map(machine::cpu_seconds).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for member in &mut self.running {
            // One that has ended already cannot be killed, and is not there to be waited for.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}
