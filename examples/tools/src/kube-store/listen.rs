//! Listening at the addresses that flags name.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::flags::{self, Place, Settings};
use crate::{Failure, tls};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// An address that is listened at.
pub(crate) struct Listener {
    pub(crate) listener: kube_store::Listener,
    /// What is shown there.
    pub(crate) tls: Option<tls::Current>,
    /// To be kept for as long as it is listened there.
    pub(crate) file: Option<SocketFile>,
}

/// A file that connections are made with; it is removed when this is dropped, as etcd removes it.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Binds every address before anything else happens, so that a taken one is told at once.
pub(crate) fn listen(
    settings: &Settings,
    urls: &[String],
    tls: impl Fn(CancellationToken) -> Result<tls::Current, Failure>,
    shutdown: &CancellationToken,
) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    let mut current = None;
    for url in urls {
        let address = flags::address(url)?;
        let (listener, file) =
            bind(address.place, settings.socket_reuse_port).map_err(|error| format!("{url}: {error}"))?;
        if address.is_secure && current.is_none() {
            current = Some(tls(shutdown.clone())?);
        }
        let tls = current.clone().filter(|_| address.is_secure);
        listeners.push(Listener { listener, tls, file });
    }
    Ok(listeners)
}

fn bind(place: Place, shared: bool) -> io::Result<(kube_store::Listener, Option<SocketFile>)> {
    match place {
        Place::Socket(address) => Ok((bind_socket(address, shared)?.into(), None)),
        Place::File(path) => Ok((bind_file(&path)?.into(), Some(SocketFile(path)))),
    }
}

fn bind_socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // One that a process has just left is free.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shared)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a process has left that was killed is replaced, as in etcd; a file that was made for something else is not.
fn bind_file(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_another_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (left, other) = (dir.path().join("left"), dir.path().join("other"));
        drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
        fs::write(&other, "precious").unwrap();
        let (_, file) = bind(Place::File(left.clone()), false).unwrap();
        assert!(bind(Place::File(other.clone()), false).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        drop(file);
        assert!(!left.exists(), "it went with its listener");
    }
}
