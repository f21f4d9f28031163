//! A [`Runtime`](crate::seam::Runtime) and [`ImageService`](crate::seam::ImageService) over the Container Runtime Interface, for containerd, CRI-O and
//! every other runtime that listens on a CRI v1 socket.
//!
//! Nothing is kept here but the last listing, which the events are made from where the runtime pushes none. Three things the protocol can't say are lost:
//! the signal of [`stop_container`](crate::seam::Runtime::stop_container) (the runtime takes the image's), the number of processes in
//! [`stats`](crate::seam::Runtime::stats) (0), and an unknown runtime handler looks like any other failure.

mod connection;
mod container;
mod error;
mod images;
mod linux;
mod look;
mod runtime;
mod sandbox;
mod session;
mod stats;
#[cfg(test)]
mod tests;
mod watch;

pub use connection::CriRuntime;
