//! Integration tests.

mod cri;
mod embedded;
