//! The processes, their disks and their cables.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use kube_store::{EtcdStore, StoreExt};
use rustix::process::Signal;

use crate::process::Process;

/// Members of the group.
pub(super) const SIZE: usize = 3;

/// How often to look for what is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// How long a member may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

struct Machine {
    name: String,
    address: String,
    state: &'static str,
    /// Keeps the namespace.
    holder: Process,
    process: Option<Process>,
    /// Words before the program's name, which run it in some way.
    wrap: Vec<String>,
    /// Variables of its environment.
    env: Vec<(String, String)>,
}

pub(super) struct Cluster {
    dir: tempfile::TempDir,
    machines: Vec<Machine>,
}

pub(super) fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

impl Cluster {
    /// Starts all members and waits until they agree.
    pub(super) async fn start() -> Self {
        run("ip link set lo up");
        run("ip link add hub type bridge");
        run("ip addr add 10.99.0.254/24 dev hub");
        run("ip link set hub up");
        let machines = (0..SIZE).map(Machine::new).collect();
        let mut cluster = Self { dir: tempfile::tempdir().unwrap(), machines };
        (0..SIZE).for_each(|member| cluster.spawn(member));
        cluster.in_step().await;
        cluster
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        self.machines.iter().map(Machine::client_url).collect()
    }

    pub(super) fn data(&self, member: usize) -> PathBuf {
        self.dir.path().join(&self.machines[member].name)
    }

    /// Starts a member's process on the disk it left.
    pub(super) fn spawn(&mut self, member: usize) {
        let all: Vec<String> = self.machines.iter().map(|m| format!("{}={}", m.name, m.peer_url())).collect();
        let data = self.data(member);
        let machine = &mut self.machines[member];
        let child = Command::new("nsenter")
            .args([&format!("--net=/proc/{}/ns/net", machine.holder.0.id()), "--"])
            .args(&machine.wrap)
            .arg(env!("CARGO_BIN_EXE_kube-store"))
            .args(["--name", &machine.name, "--data-dir", data.to_str().unwrap()])
            .args(["--listen-client-urls", &machine.client_url()])
            .args(["--listen-peer-urls", &machine.peer_url()])
            .args(["--initial-advertise-peer-urls", &machine.peer_url()])
            .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", machine.state])
            // The cheapest hash: passwords of tests are no secrets.
            .args(["--bcrypt-cost", "4"])
            .env("RUST_LOG", "error")
            .envs(machine.env.iter().cloned())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        machine.process = Some(Process(child));
    }

    fn process(&self, member: usize) -> &Process {
        self.machines[member].process.as_ref().unwrap()
    }

    /// As if its machine had lost power.
    pub(super) async fn kill(&mut self, member: usize) {
        self.machines[member].process = None;
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(&mut self, member: usize) {
        self.process(member).signal(Signal::TERM);
        let status = self.ended(member).await;
        assert!(status.success(), "a member that was asked to stop ended with {status}");
    }

    pub(super) fn pause(&self, member: usize) {
        self.process(member).signal(Signal::STOP);
    }

    pub(super) fn resume(&self, member: usize) {
        self.process(member).signal(Signal::CONT);
    }

    /// Cuts a member's cable: what is sent to it and by it disappears.
    pub(super) fn cut(&self, member: usize) {
        run(&format!("ip link set cable{member} nomaster"));
    }

    pub(super) fn join(&self, member: usize) {
        run(&format!("ip link set cable{member} master hub"));
    }

    /// A folder of the test's own.
    pub(super) fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a program in the network namespace of a member.
    pub(super) fn inside(&self, member: usize, command: &str) {
        let holder = self.machines[member].holder.0.id();
        run(&format!("nsenter --net=/proc/{holder}/ns/net -- {command}"));
    }

    /// Lets a member's next process be run by other words, and with other variables.
    pub(super) fn run_as(&mut self, member: usize, wrap: &[&str], env: &[(&str, &str)]) {
        let machine = &mut self.machines[member];
        machine.wrap = wrap.iter().map(|word| (*word).to_owned()).collect();
        machine.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    }

    pub(super) fn address(&self, member: usize) -> &str {
        &self.machines[member].address
    }

    /// Whether the process of a member has ended by itself.
    pub(super) fn has_ended(&mut self, member: usize) -> bool {
        let process = self.machines[member].process.as_mut();
        process.is_none_or(|process| process.0.try_wait().unwrap().is_some())
    }

    /// A member that leads, or one that does not.
    pub(super) async fn pick(&self, is_leader: bool) -> usize {
        loop {
            for member in 0..SIZE {
                // ENDPOINT, ID, VERSION, SIZE, LEADER, …
                let status = self.etcdctl(member, &["endpoint", "status"]).await;
                let leads = status.split(", ").nth(4).map(|leads| leads == "true");
                if leads == Some(is_leader) {
                    return member;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The term that a member is in.
    pub(super) async fn term(&self, member: usize) -> String {
        // …, LEADER, LEARNER, TERM, …
        let status = self.etcdctl(member, &["endpoint", "status"]).await;
        status.split(", ").nth(6).unwrap().to_owned()
    }

    /// Lets a member lead.
    pub(super) async fn let_lead(&self, member: usize) {
        let id = self.id(member).await;
        loop {
            let leader = self.pick(true).await;
            if leader == member {
                return;
            }
            self.etcdctl(leader, &["move-leader", &id]).await;
        }
    }

    /// Waits until every member answers, and has what was written before.
    pub(super) async fn in_step(&self) {
        self.answer(&self.endpoints()).await;
    }

    /// Waits until these answer.
    pub(super) async fn answer(&self, endpoints: &[String]) {
        for endpoint in endpoints {
            while tokio::time::timeout(PATIENCE, answers(endpoint)).await.ok().flatten().is_none() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// What etcdctl says, asking this member.
    pub(super) async fn etcdctl(&self, member: usize, args: &[&str]) -> String {
        let endpoint = self.machines[member].client_url();
        etcdctl(&[&["--endpoints", endpoint.as_str()], args].concat()).await
    }

    /// Runs etcdctl until it succeeds: the group may be between two leaders.
    pub(super) async fn insist(&self, member: usize, args: &[&str], done: &str) {
        loop {
            let said = self.etcdctl(member, args).await;
            if said.contains(done) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Number of the member at a URL, according to another.
    pub(super) async fn listed(&self, member: usize, url: &str) -> String {
        let listed = self.etcdctl(member, &["member", "list"]).await;
        let line = listed.lines().find(|line| line.contains(url)).unwrap();
        line.split(", ").next().unwrap().to_owned()
    }

    /// Number of a member, according to itself.
    pub(super) async fn id(&self, member: usize) -> String {
        let status = self.etcdctl(member, &["endpoint", "status"]).await;
        status.split(", ").nth(1).unwrap().to_owned()
    }

    pub(super) fn peer_url(&self, member: usize) -> String {
        self.machines[member].peer_url()
    }

    /// A machine for one more member, which the group does not know yet.
    pub(super) fn add_machine(&mut self) -> usize {
        let member = self.machines.len();
        self.machines.push(Machine { state: "existing", ..Machine::new(member) });
        member
    }

    /// Waits until a member has ended by itself.
    pub(super) async fn ended(&mut self, member: usize) -> ExitStatus {
        let mut process = self.machines[member].process.take().unwrap();
        tokio::task::spawn_blocking(move || process.0.wait().unwrap()).await.unwrap()
    }

    /// Puts a new member, with a new disk, in the place of one that is gone.
    pub(super) async fn replace(&mut self, member: usize) {
        let (other, url) = ((member + 1) % SIZE, self.machines[member].peer_url());
        let id = self.listed(other, &url).await;
        std::fs::remove_dir_all(self.data(member)).unwrap();
        self.insist(other, &["member", "remove", &id], "removed from cluster").await;
        let name = format!("new{member}");
        self.insist(other, &["member", "add", &name, "--peer-urls", &url], "added to cluster").await;
        self.machines[member].name = name;
        self.machines[member].state = "existing";
        self.spawn(member);
    }
}

/// What etcdctl says.
pub(super) async fn etcdctl(args: &[&str]) -> String {
    let mut command = tokio::process::Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--dial-timeout", "2s"]).args(args).kill_on_drop(true);
    let output = command.output().await.unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// Whether a member takes a write: then it has applied all that was written before.
async fn answers(endpoint: &str) -> Option<()> {
    let store = EtcdStore::connect(endpoint).await.ok()?;
    store.put("/in-step", "x").await.ok().map(drop)
}

impl Machine {
    fn new(member: usize) -> Self {
        let holder = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().unwrap();
        let holder = Process(holder);
        let (pid, address) = (holder.0.id(), format!("10.99.0.{}", member + 1));
        while !has_namespace(pid) {
            std::thread::yield_now();
        }
        run(&format!("ip link add cable{member} type veth peer name eth0 netns {pid}"));
        run(&format!("ip link set cable{member} master hub up"));
        let inside = |command: &str| run(&format!("nsenter --net=/proc/{pid}/ns/net -- {command}"));
        inside("ip link set lo up");
        inside(&format!("ip addr add {address}/24 dev eth0"));
        inside("ip link set eth0 up");
        let (wrap, env) = (Vec::new(), Vec::new());
        Self { name: format!("m{member}"), address, state: "new", holder, process: None, wrap, env }
    }

    fn client_url(&self) -> String {
        format!("http://{}:2379", self.address)
    }

    fn peer_url(&self) -> String {
        format!("http://{}:2380", self.address)
    }
}

/// Whether a process has left this one's network namespace.
fn has_namespace(pid: u32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let theirs = namespace(&pid.to_string());
    theirs.is_some() && theirs != namespace("self")
}
