//! Wiring shared by the binaries.
