//! The userspace dataplane, with real sockets on the loopback interface.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kube_netproxy::testing::dataplane_suite;
use kube_netproxy::{Dataplane, Userspace, UserspaceConfig};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::objects::{rules, service, slice};

/// A server that answers every connection with its own address.
async fn tcp_server(host: u8) -> SocketAddr {
    let listener = TcpListener::bind((IpAddr::from([127, 1, 1, host]), 18081)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, address.ip().to_string().as_bytes())
                .await
                .unwrap();
        }
    });
    address
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn passes_the_suite() {
    dataplane_suite(&Userspace::new(UserspaceConfig::default())).await;
}

#[tokio::test]
async fn tcp_takes_turns_and_follows_the_rules() {
    for host in [1, 2] {
        tcp_server(host).await;
    }
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    let dataplane = Userspace::new(UserspaceConfig::default());
    // The third endpoint is dead: nobody notices.
    let all = ["127.1.1.1", "127.1.1.2", "127.1.1.3"];
    let mut ruleset = rules(&web, Some(&slice("TCP", 18081, &all)));
    dataplane.apply(&ruleset).await.unwrap();
    let address = dataplane.address_of("default/web", 80).unwrap();
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(ask(address).await.unwrap());
    }
    assert!(
        answers.contains(&"127.1.1.1".to_owned()) && answers.contains(&"127.1.1.2".to_owned()),
        "{answers:?}"
    );

    ruleset.set("default/web", rules(&web, None).service("default/web").cloned());
    dataplane.apply(&ruleset).await.unwrap();
    assert_eq!(dataplane.address_of("default/web", 80), Some(address), "the listener stays");
    assert!(ask(address).await.is_err(), "no endpoint, no answer");

    ruleset.set("default/web", None);
    dataplane.apply(&ruleset).await.unwrap();
    assert_eq!(dataplane.address_of("default/web", 80), None);
}

#[tokio::test]
async fn cluster_ips_in_the_loopback_range_are_served_as_they_are() {
    tcp_server(5).await;
    let web = service(json!({"clusterIP": "127.96.0.10", "ports": [{"port": 18080}]}));
    let dataplane = Userspace::new(UserspaceConfig::default());
    dataplane.apply(&rules(&web, Some(&slice("TCP", 18081, &["127.1.1.5"])))).await.unwrap();
    assert_eq!(ask("127.96.0.10:18080".parse().unwrap()).await.unwrap(), "127.1.1.5");
}

#[tokio::test]
async fn udp_clients_get_answers_and_move_on_when_their_endpoint_goes() {
    for host in [1_u8, 2] {
        let socket = UdpSocket::bind((IpAddr::from([127, 1, 2, host]), 18082)).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut buffer).await {
                socket.send_to(&[host], peer).await.unwrap();
            }
        });
    }
    let dns = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]}));
    let dataplane = Userspace::new(UserspaceConfig::default());
    dataplane.apply(&rules(&dns, Some(&slice("UDP", 18082, &["127.1.2.1", "127.1.2.2"])))).await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(dataplane.address_of("default/web", 53).unwrap()).await.unwrap();
    let ask = async || {
        client.send(b"?").await.unwrap();
        let mut buffer = [0; 64];
        tokio::time::timeout(Duration::from_secs(5), client.recv(&mut buffer)).await.unwrap().unwrap();
        buffer[0]
    };
    let first = ask().await;
    assert_eq!(ask().await, first);
    let left = if first == 1 { "127.1.2.2" } else { "127.1.2.1" };
    dataplane.apply(&rules(&dns, Some(&slice("UDP", 18082, &[left])))).await.unwrap();
    assert_eq!(ask().await, 3 - first);
}
