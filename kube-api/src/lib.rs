//! The Kubernetes API server as a tower service.

pub mod decode;
pub mod discovery;
pub mod field;
pub mod kinds;
pub mod node;
pub mod patch;
pub mod pki;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod serve;
pub mod table;
pub mod token;
