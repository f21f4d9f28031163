use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::Failure;

/// How long a start or an end may take.
const LIMIT: Duration = Duration::from_secs(120);

/// When a start got how far, since the program was started.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) first_line: Duration,
    pub(super) node_ready: Duration,
    pub(super) first_answer: Duration,
}

/// A running `cluster`; killed when dropped.
pub(super) struct Cluster {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    started: Instant,
}

fn program() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?.with_file_name("cluster"))
}

impl Cluster {
    /// Starts it in the calling thread's network namespace with `dir` as its folder.
    pub(super) fn start(dir: &Path) -> Result<Self, Failure> {
        let (program, started) = (program()?, Instant::now());
        let mut command = Command::new(&program);
        command.arg("--data-dir").arg(dir).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let stdout = child.stdout.take().ok_or("the cluster has no output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines(), started })
    }

    pub(super) fn pid(&self) -> Result<u32, Failure> {
        self.child.id().ok_or_else(|| "the cluster has ended".into())
    }

    /// Waits until every replica of the demo has answered and the start is over.
    pub(super) async fn answers(&mut self) -> Result<Times, Failure> {
        let first_line = self.line("").await?;
        let node_ready = self.line("is Ready").await?;
        let first_answer = self.line("first answer").await?;
        self.line("Ctrl-C").await?;
        Ok(Times { first_line, node_ready, first_answer })
    }

    /// Waits for a line with this text in it.
    async fn line(&mut self, text: &str) -> Result<Duration, Failure> {
        let missing = || format!("the cluster does not print {text:?}");
        let seen = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(text) {
                    return Ok(());
                }
            }
            Err(Failure::from(missing()))
        };
        timeout(LIMIT, seen).await.map_err(|_| missing())??;
        Ok(self.started.elapsed())
    }

    /// Ends it as Ctrl-C does. Its containers stay.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw).ok_or("a strange process id")?;
        kill_process(pid, Signal::INT)?;
        timeout(LIMIT, self.child.wait()).await.map_err(|_| "the cluster does not end")??;
        Ok(())
    }
}

/// Stops and removes what a cluster with this folder left running.
pub(super) async fn clean(dir: &Path) -> Result<(), Failure> {
    let done = Command::new(program()?).arg("--clean").arg("--data-dir").arg(dir).status().await?;
    if done.success() { Ok(()) } else { Err("cluster --clean failed".into()) }
}
