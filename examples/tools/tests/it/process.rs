//! Processes of tests.

use std::io::Write;
use std::net::TcpListener;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A process that is killed with its owner.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine that was free a moment ago.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Says on stderr itself that a test is skipped, which the harness would swallow.
pub(crate) fn skip(test: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
}

/// How long a process may take to serve what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a page says what is wanted.
pub(crate) async fn wait_for(address: &str, path: &str, wanted: &str) {
    let look = async {
        while !get(address, path).await.is_ok_and(|text| text.contains(wanted)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patient = tokio::time::timeout(PATIENCE, look).await;
    assert!(patient.is_ok(), "{address}{path} never says {wanted}");
}

async fn get(address: &str, path: &str) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
