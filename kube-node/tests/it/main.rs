//! Integration tests.

mod cri;
mod embedded;
mod fake;
mod server;
