//! The Kubernetes API server as a tower service.
//!
//! It keeps objects in a [`kube_store::Store`] and serves them to everybody else; it runs no containers, decides no
//! placement and reconciles nothing: those are its clients. It owns no listener either: [`serve`] has the glue for one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use k8s_openapi::api::core::v1::Namespace;
//! use kube_api::{ApiServer, User};
//!
//! let server = ApiServer::builder(Arc::new(kube_store::MemoryStore::new())).build().await?;
//! let client = kube::Client::new(server.as_user(User::admin()), "default");
//! let namespace = kube::Api::<Namespace>::all(client).get("kube-system").await?;
//! assert!(namespace.metadata.uid.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`ApiServer`] is the service, [`Config`] its settings, [`Error`] what it answers when something is wrong.
//! - `request` takes addresses and parameters apart; `server` leads each request to its place; `registry` is the one
//!   generic path of all verbs and kinds over the store; `cache` is the watch cache; `subresource` has the parts with rules
//!   of their own; [`admission`] and [`auth`] hold the seams around writes and requests.
//! - [`kinds`] is the table of kinds; [`schema`], [`decode`], [`patch`], [`selector`], [`table`], [`discovery`] and [`openapi`] work on
//!   plain values.
//! - [`pki`], [`serve`], [`token`] and [`node`] connect the server with the outside.

pub mod admission;
mod allocate;
pub mod auth;
mod body;
mod bootstrap;
mod cache;
mod clock;
mod config;
pub mod decode;
pub mod discovery;
mod error;
pub mod field;
pub mod kinds;
mod metrics;
pub mod node;
mod object;
pub mod openapi;
pub mod patch;
pub mod pki;
mod present;
pub mod quantity;
mod registry;
pub mod request;
pub mod schema;
pub mod selector;
pub mod serve;
mod server;
mod status;
mod subresource;
pub mod table;
pub mod token;

pub use auth::User;
pub use body::Body;
pub use clock::Clock;
pub use config::Config;
pub use error::{Error, Result, Target};
pub use server::{ApiServer, AsUser, Builder, ResponseFuture};
