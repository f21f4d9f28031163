//! Reading much in pages.

use tokio::time::Instant;

use super::client::{Connection, RANGE};
use super::compare::{Better, Workload};
use super::machine;
use super::programs::{Program, Server};
use super::wire::{self, Field, Message, fields};
use crate::Failure;

const KEYS: usize = 100_000;
const PAGE: usize = 500;
/// Bytes of a value, and of all values that are written in one transaction.
const VALUE: usize = 4096;
const AT_ONCE: usize = 100;

/// A range over 100,000 keys of 4 KiB in pages of 500, as of one revision, one page after the other.
pub(super) struct Paged;

/// A filled server and a connection to it.
pub(super) struct Filled {
    pub(super) server: Server,
    connection: Connection,
}

impl Filled {
    /// A server with `keys` keys of 4 KiB.
    pub(super) async fn start(program: &Program, keys: usize) -> Result<Self, Failure> {
        let server = Server::start(program, 1)?;
        let connection = Connection::first(server.addresses().first().ok_or("no member")?).await?;
        for from in (0..keys).step_by(AT_ONCE) {
            let puts = (from..keys.min(from + AT_ONCE)).fold(Message::default(), |txn, n| {
                let put = Message::default().bytes(1, key(n).as_bytes()).bytes(2, &value(n));
                txn.message(2, Message::default().message(2, put))
            });
            connection.call("/etcdserverpb.KV/Txn", puts.framed()).await?;
        }
        Ok(Self { server, connection })
    }

    fn pid(&self) -> Result<u32, Failure> {
        Ok(*self.server.pids().first().ok_or("no member")?)
    }
}

fn key(n: usize) -> String {
    format!("/registry/pods/default/pod-{n:07}")
}

/// A value that says whose it is, and does not compress.
fn value(n: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(n as u64);
    let mut value = vec![0; VALUE];
    random.fill(&mut value);
    value
}

impl Workload for Paged {
    type Ready = Filled;

    fn figures(&self) -> Vec<(String, Better)> {
        vec![
            ("range-paged".into(), Better::More),
            ("range-paged-cpu-us".into(), Better::Less),
            ("range-paged-peak-mib".into(), Better::Less),
            ("range-paged-growth-mib".into(), Better::Less),
        ]
    }

    async fn prepare(&self, program: &Program) -> Result<Filled, Failure> {
        Filled::start(program, KEYS).await
    }

    /// Keys per second, processor time per key, most memory resident and how much more that is than before.
    async fn sample(&self, ready: &mut Filled) -> Result<Vec<f64>, Failure> {
        let pid = ready.pid()?;
        machine::forget_peak(pid)?;
        let (resident, cpu) = (machine::memory(pid, "VmRSS")?, ready.server.cpu()?);
        let started = Instant::now();
        let (mut revision, mut seen) = (0, 0);
        while seen < KEYS {
            let request =
                Message::default().bytes(1, key(seen).as_bytes()).bytes(2, b"/registry/pods/default0");
            let request = request.number(3, PAGE as i64).number(4, revision).framed();
            let page = ready.connection.call(RANGE, request).await?;
            revision = wire::revision(&page)?;
            seen = check(&page, seen)?;
        }
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), ready.server.cpu()? - cpu);
        let peak = machine::memory(pid, "VmHWM")?;
        Ok(vec![KEYS as f64 / seconds, cpu * 1e6 / KEYS as f64, peak, peak - resident])
    }
}

/// Answers how many keys were seen when a page follows after `seen`.
fn check(page: &[u8], seen: usize) -> Result<usize, Failure> {
    let (mut next, mut more, mut count) = (seen, 0, 0);
    fields(page, |field, content| {
        match (field, content) {
            (2, Field::Bytes(kv)) => {
                let (found, length) = (wire::bytes(kv, 1)?, wire::bytes(kv, 5)?.len());
                if found != key(next).as_bytes() || length != VALUE {
                    return Err(format!(
                        "{} with {length} bytes, expected {}",
                        found.escape_ascii(),
                        key(next)
                    )
                    .into());
                }
                next += 1;
            }
            (3, Field::Number(is_more)) => more = is_more,
            (4, Field::Number(number)) => count = number,
            _ => {}
        }
        Ok(())
    })?;
    let is_last = next == KEYS;
    if next != seen + PAGE || count != i64::try_from(KEYS - seen)? || (more == 0) != is_last {
        return Err(format!("a page of {} keys of {count}, and more: {more}", next - seen).into());
    }
    Ok(next)
}
