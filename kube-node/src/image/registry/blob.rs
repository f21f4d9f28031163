//! Blobs: streamed to disk, checked while they arrive, resumed where a connection broke.

use std::path::Path;

use http::{StatusCode, header::CONTENT_RANGE};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt, BufWriter},
};

use super::{Fault, Repository, digest::Hasher, patience::Patience, transport::Ask};
use crate::{Error, image::document::Document};

/// Bytes that are written at once.
const BUFFER: usize = 512 << 10;
/// A connection that brought as much as this counts as one that works: what comes after gets all attempts again.
const PROGRESS: u64 = 1 << 20;

/// A blob on its way.
struct Download<'a> {
    digest: &'a str,
    size: u64,
    path: &'a Path,
    file: BufWriter<File>,
    hasher: Hasher,
    received: u64,
}

impl Repository<'_> {
    /// Fetches a blob into a new file. When this fails, what is in the file means nothing.
    pub(crate) async fn blob(&self, blob: &Document, path: &Path) -> Result<(), Fault> {
        let mut download = Download::begin(blob, path).await?;
        let limits = &self.client.transport.limits;
        // The mark only rises, so that a download that starts again and again comes to an end.
        let (mut patience, mut mark) = (Patience::new(limits), 0);
        while let Err(fault) = self.continue_blob(&mut download).await {
            if download.received >= mark + PROGRESS {
                (patience, mark) = (Patience::new(limits), download.received);
            }
            patience.wait(fault).await?;
        }
        download.finish().await
    }

    async fn continue_blob(&self, download: &mut Download<'_>) -> Result<(), Fault> {
        if download.received == download.size && download.size > 0 {
            return Ok(());
        }
        let uri = self.uri("blobs", download.digest)?;
        let ask = Ask { uri: uri.clone(), accept: "", from: download.received };
        let mut answer = self.ask(ask).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(answer.headers(), download.received) => {}
            // The server knows no ranges, or sends another one: from the beginning then.
            StatusCode::OK => download.restart().await?,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if download.received > 0 => {
                download.restart().await?;
                return Err(Fault::Broken(format!("{}: cannot be resumed", answer.asked)));
            }
            _ => {
                return Err(match answer.refusal().await {
                    Fault::NotFound => Fault::Content(format!("content at {uri} not found: not found")),
                    other => other,
                });
            }
        }
        while let Some(bytes) = answer.next().await? {
            download.take(&bytes).await?;
        }
        match download.received == download.size {
            true => Ok(()),
            false => Err(Fault::Broken(format!("{}: the answer ended early", answer.asked))),
        }
    }
}

impl<'a> Download<'a> {
    async fn begin(blob: &'a Document, path: &'a Path) -> Result<Self, Fault> {
        let digest = blob.digest.as_str();
        let unknown = || Fault::Content(format!("unknown kind of digest {digest:?}"));
        let hasher = Hasher::expecting(digest).ok_or_else(unknown)?;
        let size = blob.size.ok_or_else(|| Fault::Content(format!("blob {digest} without a size")))?;
        let file = File::create_new(path).await.map_err(disk("create", path))?;
        Ok(Self { digest, size, path, file: BufWriter::with_capacity(BUFFER, file), hasher, received: 0 })
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.received += bytes.len() as u64;
        if self.received > self.size {
            return Err(Fault::Content(format!("blob {} is larger than {} bytes", self.digest, self.size)));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).await.map_err(disk("write", self.path))
    }

    async fn restart(&mut self) -> Result<(), Fault> {
        if self.received == 0 {
            return Ok(());
        }
        let fresh = Hasher::expecting(self.digest);
        self.hasher =
            fresh.ok_or_else(|| Fault::Content(format!("unknown kind of digest {:?}", self.digest)))?;
        self.received = 0;
        // Seeking writes out what is buffered, so the order matters.
        self.file.rewind().await.map_err(disk("rewind", self.path))?;
        self.file.get_mut().set_len(0).await.map_err(disk("empty", self.path))
    }

    async fn finish(mut self) -> Result<(), Fault> {
        self.file.flush().await.map_err(disk("write", self.path))?;
        match self.hasher.matches() {
            true => Ok(()),
            false => Err(Fault::Content(format!("blob {} has other content", self.digest))),
        }
    }
}

fn disk(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Fault {
    let doing = format!("{doing} {}", path.display());
    move |error| Fault::Local(Error::io(doing)(error))
}

/// Whether a partial answer is the part that was asked for.
fn starts_at(headers: &http::HeaderMap, offset: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok());
    start == Some(offset)
}
