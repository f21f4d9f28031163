//! The binaries, as processes.

mod store_group;
