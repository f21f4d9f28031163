//! Cluster DNS over real sockets on the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use kube_netproxy::dns::{Config, Dns};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster::{Cluster, shown};
use crate::objects::{named, service, slice_of};

struct Server {
    cluster: Cluster,
    udp: SocketAddr,
    tcp: SocketAddr,
    _shutdown: DropGuard,
}

async fn start(config: Config) -> Server {
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}]}));
    let out = named("out", json!({"type": "ExternalName", "externalName": "example.test"}));
    let many = named("many", json!({"clusterIP": "None"}));
    let hosts: Vec<_> = (0..100).map(|n| json!({"addresses": [format!("10.0.1.{n}")]})).collect();
    let hosts = slice_of("many", "TCP", 80, json!(hosts));
    let cluster = Cluster::new(vec![shown(&web, 1), shown(&out, 1), shown(&many, 1)], vec![shown(&hosts, 1)]);
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addresses = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let dns = Dns::with_random(cluster.client(), config, fastrand::Rng::with_seed(7)).unwrap();
    let (mut ready, shutdown) = (dns.ready(), CancellationToken::new());
    tokio::spawn(dns.run(udp, tcp, shutdown.clone()));
    ready.wait_for(|ready| *ready).await.unwrap();
    Server { cluster, udp: addresses.0, tcp: addresses.1, _shutdown: shutdown.drop_guard() }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn exchange(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(bytes).await.unwrap();
    let mut buffer = [0; 65535];
    let answer = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut buffer)).await;
    Message::from_vec(&buffer[..answer.expect("an answer").unwrap()]).unwrap()
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let request = question(name, kind);
    let response = exchange(server, &request.to_vec().unwrap()).await;
    assert_eq!((response.metadata.id, &response.queries), (4711, &request.queries));
    response
}

fn data(response: &Message) -> Vec<String> {
    response.answers.iter().map(|record| record.data.to_string()).collect()
}

#[tokio::test]
async fn services_are_answered_with_authority() {
    let server = start(Config::default()).await;
    let web = ask(server.udp, "web.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&web), ["10.96.0.10"]);
    assert!(web.metadata.authoritative && web.authorities.is_empty() && web.answers[0].ttl == 30);

    let nothing = ask(server.udp, "web.default.svc.cluster.local.", RecordType::AAAA).await;
    assert_eq!((nothing.metadata.response_code, nothing.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(nothing.authorities[0].record_type(), RecordType::SOA);
    let unknown = ask(server.udp, "no.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(unknown.authorities[0].record_type(), RecordType::SOA);
    let refused = ask(server.udp, "example.test.", RecordType::A).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn changes_show_at_once() {
    let server = start(Config::default()).await;
    let new = named("new", json!({"clusterIP": "10.96.0.77", "ports": [{"port": 80}]}));
    server.cluster.send("ADDED", shown(&new, 2));
    let answer = async {
        loop {
            let answer = ask(server.udp, "new.default.svc.cluster.local.", RecordType::A).await;
            if !answer.answers.is_empty() {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("it shows");
    assert_eq!(data(&answer), ["10.96.0.77"]);
}

#[tokio::test]
async fn large_answers_are_cut_over_udp_and_whole_over_tcp() {
    let server = start(Config::default()).await;
    let name = "many.default.svc.cluster.local.";
    let cut = ask(server.udp, name, RecordType::A).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());

    let mut request = question(name, RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    request.set_edns(edns);
    let cut = exchange(server.udp, &request.to_vec().unwrap()).await;
    assert!(cut.metadata.truncation && cut.edns.is_some(), "no more than fits everywhere");

    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..2 {
        let bytes = question(name, RecordType::A).to_vec().unwrap();
        stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut answer).await.unwrap();
        let mut addresses = data(&Message::from_vec(&answer).unwrap());
        orders.push(addresses.clone());
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 100);
    }
    assert_ne!(orders[0], orders[1], "the first one is another one each time");
}

#[tokio::test]
async fn nonsense_is_told_so_or_ignored() {
    let server = start(Config::default()).await;
    let code = async |bytes: &[u8]| exchange(server.udp, bytes).await.metadata.response_code;
    assert_eq!(code(&[0x12, 0x67, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 77]).await, ResponseCode::FormErr);
    let mut notify = question("cluster.local.", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&notify.to_vec().unwrap()).await, ResponseCode::NotImp);
    let none = Message::new(1, MessageType::Query, OpCode::Query);
    assert_eq!(code(&none.to_vec().unwrap()).await, ResponseCode::FormErr);
    let mut chaos = question("version.bind.", RecordType::TXT);
    chaos.queries[0].query_class = hickory_proto::rr::DNSClass::CH;
    assert_eq!(code(&chaos.to_vec().unwrap()).await, ResponseCode::Refused);
    let mut future = question("cluster.local.", RecordType::SOA);
    let mut edns = Edns::new();
    edns.set_version(1);
    future.set_edns(edns);
    let answer = exchange(server.udp, &future.to_vec().unwrap()).await;
    assert_eq!((u16::from(answer.metadata.response_code), answer.answers.len()), (16, 0), "bad version");

    // An answer is not answered, or two servers could keep each other busy.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut answer = question("cluster.local.", RecordType::SOA);
    answer.metadata.message_type = MessageType::Response;
    socket.send_to(&answer.to_vec().unwrap(), server.udp).await.unwrap();
    let good = question("cluster.local.", RecordType::SOA);
    socket.send_to(&good.to_vec().unwrap(), server.udp).await.unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().answers.len(), 1, "the answer to the second");
}

/// A server that knows `example.test`, counts questions, and answers TXT over TCP only.
async fn upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut response = resolve(&buffer[..length]);
            if response.queries[0].query_type == RecordType::TXT {
                response = response.truncate();
            }
            // Somebody guesses badly; the real answer follows.
            let mut forged = response.clone();
            forged.metadata.id = forged.metadata.id.wrapping_add(1);
            forged.answers.clear();
            udp.send_to(&forged.to_vec().unwrap(), client).await.unwrap();
            udp.send_to(&response.to_vec().unwrap(), client).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut question = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut question).await.unwrap();
            let bytes = resolve(&question).to_vec().unwrap();
            stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    (address, count)
}

fn resolve(request: &[u8]) -> Message {
    let request = Message::from_vec(request).unwrap();
    let query = request.queries[0].clone();
    let mut response = Message::response(request.metadata.id, OpCode::Query);
    let name = query.name.clone();
    match query.query_type {
        RecordType::A if name.to_string() == "example.test." => {
            response.add_answer(Record::from_rdata(name, 300, RData::A(A([192, 0, 2, 1].into()))));
        }
        RecordType::TXT => {
            let text = RData::TXT(TXT::new(vec!["x".repeat(200); 10]));
            response.add_answer(Record::from_rdata(name, 300, text));
        }
        _ => response.metadata.response_code = ResponseCode::NXDomain,
    }
    response.add_query(query);
    response
}

#[tokio::test]
async fn other_names_are_asked_elsewhere_once() {
    let (address, count) = upstream().await;
    // The first server is dead: the second answers.
    let dead = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = Config { upstreams: vec![dead, address], ..Config::default() };
    let server = start(config).await;
    for _ in 0..3 {
        let answer = ask(server.udp, "example.test.", RecordType::A).await;
        assert_eq!(data(&answer), ["192.0.2.1"]);
        assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    }
    assert_eq!(count.load(Ordering::Relaxed), 1, "kept");

    let alias = ask(server.udp, "out.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&alias), ["example.test.", "192.0.2.1"]);
    let unknown = ask(server.udp, "nowhere.test.", RecordType::A).await;
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);

    let cut = ask(server.udp, "big.test.", RecordType::TXT).await;
    assert!(cut.metadata.truncation, "the answer came over TCP and does not fit");
}

#[tokio::test]
async fn silent_servers_are_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        upstreams: vec![silent.local_addr().unwrap()],
        upstream_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let server = start(config).await;
    let failed = ask(server.udp, "example.test.", RecordType::A).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    let alias = ask(server.udp, "out.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&alias), ["example.test."]);
}

#[tokio::test]
async fn too_many_questions_are_turned_away() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let upstreams = vec![silent.local_addr().unwrap()];
    let config =
        Config { upstreams, in_flight: 1, upstream_timeout: Duration::from_secs(3600), ..Config::default() };
    let server = start(config).await;
    let waiting = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    waiting.send_to(&question("a.test.", RecordType::A).to_vec().unwrap(), server.udp).await.unwrap();
    silent.recv(&mut [0; 512]).await.unwrap();
    let turned_away = ask(server.udp, "b.test.", RecordType::A).await;
    assert_eq!(turned_away.metadata.response_code, ResponseCode::ServFail);
    let own = ask(server.udp, "web.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&own), ["10.96.0.10"], "the cluster's own names need no waiting");
}
