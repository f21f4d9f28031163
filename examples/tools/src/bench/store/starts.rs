//! Until a server answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::client::Connection;
use super::compare::{Better, Workload};
use super::machine;
use super::programs::{Program, Server};
use super::range::Filled;
use crate::Failure;

/// How long a server is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(1);
/// Keys of 4 KiB in one GiB.
const GIB: usize = 1 << 18;

/// A server without data, from the start of its process to the first answer; and what it takes when it has nothing to do.
pub(super) struct Empty;

impl Workload for Empty {
    type Ready = Program;

    fn figures(&self) -> Vec<(String, Better)> {
        vec![("start-empty-ms".into(), Better::Less), ("idle-rss-mib".into(), Better::Less)]
    }

    async fn prepare(&self, program: &Program) -> Result<Program, Failure> {
        Ok(program.clone())
    }

    async fn sample(&self, program: &mut Program) -> Result<Vec<f64>, Failure> {
        let started = Instant::now();
        let server = Server::start(program, 1)?;
        let answered = until_answered(&server, started).await?;
        sleep(IDLE).await;
        Ok(vec![answered, resident(&server)?])
    }
}

/// A server with 1 GiB of values, started again.
pub(super) struct Full;

impl Workload for Full {
    type Ready = Filled;

    fn figures(&self) -> Vec<(String, Better)> {
        vec![("start-1g-ms".into(), Better::Less), ("rss-1g-mib".into(), Better::Less)]
    }

    fn pairs(&self, asked: usize) -> usize {
        asked.min(4)
    }

    async fn prepare(&self, program: &Program) -> Result<Filled, Failure> {
        let mut filled = Filled::start(program, GIB).await?;
        filled.server.stop()?;
        Ok(filled)
    }

    async fn sample(&self, filled: &mut Filled) -> Result<Vec<f64>, Failure> {
        let started = Instant::now();
        filled.server.restart()?;
        let answered = until_answered(&filled.server, started).await?;
        let resident = resident(&filled.server)?;
        // The other one is not to share the machine with it.
        filled.server.stop()?;
        Ok(vec![answered, resident])
    }
}

/// In milliseconds.
async fn until_answered(server: &Server, started: Instant) -> Result<f64, Failure> {
    Connection::first(server.addresses().first().ok_or("no member")?).await?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn resident(server: &Server) -> Result<f64, Failure> {
    machine::memory(*server.pids().first().ok_or("no member")?, "VmRSS")
}
