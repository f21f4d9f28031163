//! Cluster DNS: names for services and pods, after the Kubernetes DNS specification, version 1.1.0.
//!
//! Usable without the rest of the crate. [`Records`] answers questions from what it knows and does nothing else; [`Dns`] keeps
//! one up to date from a cluster, speaks DNS over sockets that the caller opened, and forwards what is not the cluster's.
//!
//! It does no DNSSEC, no zone transfers, and does not follow the search list of clients.
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> std::io::Result<()> {
//! use kube_netproxy::dns::{Config, Dns};
//! use tokio_util::sync::CancellationToken;
//!
//! let udp = tokio::net::UdpSocket::bind("10.96.0.10:53").await?;
//! let tcp = tokio::net::TcpListener::bind("10.96.0.10:53").await?;
//! let config = Config { upstreams: vec!["192.0.2.53:53".parse().unwrap()], ..Config::default() };
//! let dns = Dns::new(client, config).expect("the configuration is right");
//! tokio::spawn(dns.run(udp, tcp, CancellationToken::new()));
//! # Ok(())
//! # }
//! ```

mod cache;
mod config;
mod driver;
mod entry;
mod forward;
mod listen;
mod records;
mod reply;

pub use config::Config;
pub use driver::Dns;
pub use records::{Answer, Records};
