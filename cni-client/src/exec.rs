use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::{Attachment, Config, Error, Result};

/// The most that a plugin may print on each stream, in bytes.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;

/// One run of one plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) config: &'a Config,
    pub(crate) plugin: &'a str,
    pub(crate) command: &'static str,
    pub(crate) attachment: Option<&'a Attachment>,
}

impl Run<'_> {
    /// Runs the plugin with `request` on stdin; its answer, or `Null` if it printed none.
    ///
    /// The plugin is killed when the deadline passes or the future is dropped.
    pub(crate) async fn call(self, request: &Value) -> Result<Value> {
        let binary = find(&self.config.plugin_dirs, self.plugin)?;
        let child = self.spawn(&binary).map_err(Error::io(format!("starting {}", binary.display())))?;
        let finished = tokio::time::timeout(self.config.plugin_timeout, converse(child, request.to_string()));
        let deadline = Error::Deadline {
            plugin: self.plugin.into(),
            command: self.command,
            after: self.config.plugin_timeout,
        };
        let output = finished.await.map_err(|_| deadline)?;
        self.answer(&output.map_err(Error::io(format!("running {}", binary.display())))?)
    }

    fn spawn(self, binary: &Path) -> std::io::Result<Child> {
        let search = std::env::join_paths(&self.config.plugin_dirs).unwrap_or_default();
        let mut command = Command::new(binary);
        command.env("CNI_COMMAND", self.command).env("CNI_PATH", search);
        if let Some(attachment) = self.attachment {
            command
                .env("CNI_CONTAINERID", &attachment.container_id)
                .env("CNI_NETNS", &attachment.netns)
                .env("CNI_IFNAME", &attachment.ifname)
                .env("CNI_ARGS", attachment.cni_args());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()
    }

    fn answer(self, output: &Output) -> Result<Value> {
        if !output.status.success() {
            return Err(self.failure(output));
        }
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|e| self.broken(format!("its answer is not JSON: {e}: {}", excerpt(&output.stdout))))
    }

    fn failure(self, output: &Output) -> Error {
        #[derive(Deserialize)]
        struct Answer {
            code: u32,
            #[serde(default)]
            msg: String,
            #[serde(default)]
            details: String,
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&output.stdout) else {
            return self.broken(format!("{}: {}", output.status, excerpt(&output.stderr)));
        };
        let separator = if answer.details.is_empty() { "" } else { "; " };
        let message = format!("{}{separator}{}", answer.msg, answer.details);
        Error::Plugin { plugin: self.plugin.into(), command: self.command, code: answer.code, message }
    }

    fn broken(self, message: String) -> Error {
        Error::PluginBroken { plugin: self.plugin.into(), command: self.command, message }
    }
}

/// Feeds stdin and reads both outputs at once, so that neither side can block the other.
async fn converse(mut child: Child, request: String) -> std::io::Result<Output> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A plugin may end without reading its configuration; its answer tells why.
            let _ = stdin.write_all(request.as_bytes()).await;
        }
    };
    let ((), stdout, stderr) = tokio::join!(feed, bounded(stdout), bounded(stderr));
    let status = child.wait().await?;
    Ok(Output { status, stdout: stdout?, stderr: stderr? })
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(stream) = stream {
        stream.take(MAX_OUTPUT_BYTES).read_to_end(&mut output).await?;
    }
    Ok(output)
}

fn find(dirs: &[PathBuf], plugin: &str) -> Result<PathBuf> {
    let found = dirs.iter().map(|dir| dir.join(plugin)).find(|path| path.is_file());
    found.ok_or_else(|| Error::PluginMissing { plugin: plugin.into(), dirs: dirs.to_vec() })
}

fn excerpt(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().chars().take(500).collect()
}
