//! Sending a log to one client.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use super::Query;
use super::changes::Changes;
use super::shaper::{Flow, Shaper};
use super::tail;
use crate::{Error, Result};

/// Bytes read at once; a longer line is passed on in pieces.
const CHUNK: usize = 32 << 10;

/// Sends the lines of the log at `path` that `query` asks for, in pieces of a few ten kilobytes, waiting for the receiver. With
/// `follow` it goes on until `ended` resolves, which says that nothing will be written any more, or the receiver has gone.
///
/// # Errors
/// [`Error::NotFound`] if there is no such file; [`Error::Io`].
pub async fn send(
    path: &Path,
    query: &Query,
    ended: impl Future<Output = ()>,
    to: mpsc::Sender<Bytes>,
) -> Result<()> {
    // Watching begins before reading, so that nothing falls between.
    let mut changes = if query.follow { Some(Changes::of(path)?) } else { None };
    let mut reader = Reader::open(path, query).await?;
    let (mut is_over, mut ended) = (!query.follow, std::pin::pin!(ended));
    loop {
        match reader.read().await? {
            Read::Lines(lines) if lines.is_empty() => {}
            Read::Lines(lines) => {
                if to.send(lines).await.is_err() {
                    return Ok(());
                }
            }
            Read::Done => return Ok(()),
            Read::End if is_over => return Ok(()),
            Read::End => {
                let changed = async {
                    match &mut changes {
                        Some(changes) => changes.next().await,
                        None => Ok(()),
                    }
                };
                tokio::select! {
                    changed = changed => changed?,
                    () = &mut ended => is_over = true,
                    () = to.closed() => return Ok(()),
                }
            }
        }
    }
}

enum Read {
    /// Some of the file was read; these lines of it are wanted.
    Lines(Bytes),
    /// There is no more for now.
    End,
    /// As much as was asked for has been read.
    Done,
}

struct Reader {
    path: PathBuf,
    file: File,
    /// The file that has taken this one's place, to be read when this one is at its end for good.
    next: Option<File>,
    shaper: Shaper,
    /// What has been read but not yet shaped: less than a line.
    rest: BytesMut,
}

impl Reader {
    async fn open(path: &Path, query: &Query) -> Result<Self> {
        let mut file = open(path).await?;
        if let Some(lines) = query.tail_lines {
            let start = tail::offset(&mut file, lines).await.map_err(reading(path))?;
            file.seek(SeekFrom::Start(start)).await.map_err(reading(path))?;
        }
        Ok(Self { path: path.into(), file, next: None, shaper: Shaper::new(query), rest: BytesMut::new() })
    }

    async fn read(&mut self) -> Result<Read> {
        if self.shaper.is_finished() {
            return Ok(Read::Done);
        }
        self.rest.reserve(CHUNK);
        let read = self.file.read_buf(&mut self.rest).await.map_err(reading(&self.path))?;
        if read == 0 {
            return Ok(if self.rotate().await? { Read::Lines(Bytes::new()) } else { Read::End });
        }
        let mut lines = BytesMut::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line = self.rest.split_to(end + 1);
            if self.shaper.line(&line, &mut lines) == Flow::Done {
                return Ok(Read::Lines(lines.freeze()));
            }
        }
        if self.rest.len() > 2 * CHUNK {
            // Not the format: no runtime writes such a line. What can't be read is left out rather than kept.
            self.rest.clear();
        }
        Ok(Read::Lines(lines.freeze()))
    }

    /// Goes on with the new file if the path has one by now; the old one is looked at once more before, since it may have been
    /// written to until it was replaced.
    async fn rotate(&mut self) -> Result<bool> {
        if let Some(next) = self.next.take() {
            self.file = next;
            return Ok(true);
        }
        let Ok(named) = tokio::fs::metadata(&self.path).await else { return Ok(false) };
        let open_now = self.file.metadata().await.map_err(reading(&self.path))?;
        if (named.dev(), named.ino()) == (open_now.dev(), open_now.ino()) {
            return Ok(false);
        }
        self.next = Some(open(&self.path).await?);
        Ok(true)
    }
}

async fn open(path: &Path) -> Result<File> {
    File::open(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("log", path.display().to_string()),
        _ => reading(path)(error),
    })
}

fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("read log {}", path.display()))
}

#[cfg(test)]
mod tests;
