//! A small network: a node, pods behind it, and a client outside, each in a network namespace of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rustix::thread::{UnshareFlags, gettid};

type Work = Box<dyn FnOnce() + Send>;

/// A network namespace and the thread that lives in it.
pub(crate) struct NetNs {
    work: mpsc::Sender<Work>,
    id: String,
}

impl NetNs {
    pub(crate) fn new() -> Self {
        let (work, queue) = mpsc::channel::<Work>();
        let (ready, id) = mpsc::channel();
        std::thread::spawn(move || {
            #[expect(deprecated, reason = "safe: the namespace of file descriptors is not unshared")]
            rustix::thread::unshare(UnshareFlags::NEWNET).expect("a network namespace");
            ready.send(gettid().as_raw_nonzero().to_string()).expect("the test waits");
            queue.iter().for_each(|work| work());
        });
        let namespace = Self { work, id: id.recv().expect("the thread started") };
        namespace.sh("ip link set lo up");
        namespace
    }

    /// Runs something inside.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.work.send(Box::new(move || drop(done.send(work())))).expect("the thread lives");
        result.recv().expect("the work did not panic")
    }

    /// Runs a shell command inside and gives what it prints.
    pub(crate) fn sh(&self, command: &str) -> String {
        let command = command.to_owned();
        self.run(move || {
            let output = Command::new("sh").args(["-c", &command]).output().expect("a shell");
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{command}: {errors}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }
}

/// The node at 10.0.N.1 and 192.168.9.1, pods at 10.0.N.2 (and fd00:10:N::2), a client outside at 192.168.9.2.
pub(crate) struct Network {
    pub(crate) node: NetNs,
    pub(crate) pods: Vec<NetNs>,
    pub(crate) client: NetNs,
}

impl Network {
    /// None, with a word about it, where namespaces cannot be made.
    pub(crate) fn new(pods: usize) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || Command::new("ip").arg("-V").output().is_err() {
            // Not eprintln!, which the test harness keeps to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: needs root and the ip program");
            return None;
        }
        let network = Self {
            node: NetNs::new(),
            pods: (0..pods).map(|_| NetNs::new()).collect(),
            client: NetNs::new(),
        };
        network
            .node
            .sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        for (at, pod) in network.pods.iter().enumerate() {
            let n = at + 1;
            network.connect(
                pod,
                &format!("pod{n}"),
                &[(format!("10.0.{n}"), 24), (format!("fd00:10:{n}:"), 64)],
            );
        }
        network.connect(&network.client, "outside", &[("192.168.9".into(), 24), ("fd00:9:0:".into(), 64)]);
        // Local processes reach virtual addresses only if some route covers them.
        network.node.sh("ip route add default via 192.168.9.2; ip -6 route add default via fd00:9:0::2");
        Some(network)
    }

    fn connect(&self, other: &NetNs, name: &str, nets: &[(String, u8)]) {
        self.node.sh(&format!(
            "ip link add {name} type veth peer name eth0 netns {} && ip link set {name} up",
            other.id
        ));
        other.sh("ip link set eth0 up");
        for (net, prefix) in nets {
            let (dot, nodad) = if net.contains(':') { (":", "nodad") } else { (".", "") };
            self.node.sh(&format!("ip addr add {net}{dot}1/{prefix} dev {name} {nodad}"));
            other.sh(&format!(
                "ip addr add {net}{dot}2/{prefix} dev eth0 {nodad} && ip route add default via {net}{dot}1"
            ));
        }
    }

    /// Starts servers in all pods that answer with the pod's number and the source address they see.
    pub(crate) fn serve(&self, port: u16) {
        for (at, pod) in self.pods.iter().enumerate() {
            pod.run(move || serve(at + 1, port));
        }
    }
}

fn serve(name: usize, port: u16) {
    let listener = TcpListener::bind(("::", port)).expect("a port");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let peer = stream.peer_addr().expect("a peer").ip().to_canonical();
            let _ = stream.write_all(format!("{name} {peer}").as_bytes());
        }
    });
    let socket = UdpSocket::bind(("::", port)).expect("a port");
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {}", peer.ip().to_canonical()).as_bytes(), peer);
        }
    });
}

/// Which pod answered, and which source address it saw.
pub(crate) type Answer = std::io::Result<(usize, IpAddr)>;

const PATIENCE: Duration = Duration::from_secs(2);

fn parse(text: &str) -> (usize, IpAddr) {
    let (name, peer) = text.split_once(' ').expect("two words");
    (name.parse().expect("a number"), peer.parse().expect("an address"))
}

/// Asks over TCP.
pub(crate) fn ask(from: &NetNs, target: &str) -> Answer {
    let target: SocketAddr = target.parse().expect("an address");
    from.run(move || {
        let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(parse(&text))
    })
}

/// A UDP client that keeps its port.
pub(crate) fn udp(from: &NetNs, target: &str) -> UdpSocket {
    let target: SocketAddr = target.parse().expect("an address");
    from.run(move || {
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).expect("a port");
        socket.connect(target).expect("a route");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    })
}

/// Asks over UDP.
pub(crate) fn ask_udp(socket: &UdpSocket) -> Answer {
    socket.send(b"?")?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(parse(&String::from_utf8_lossy(&buffer[..length])))
}
