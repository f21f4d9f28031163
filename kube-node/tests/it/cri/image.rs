use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

/// Writes a `docker save` archive of an image that holds busybox and nothing else.
pub(crate) fn busybox_archive(to: &Path, name: &str, busybox: &Path) -> std::io::Result<()> {
    let layer = layer(busybox)?;
    let digest: String = Sha256::digest(&layer).iter().map(|b| format!("{b:02x}")).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["/bin/busybox", "sleep", "1000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(std::fs::File::create(to)?);
    append(&mut archive, "config.json", config.to_string().as_bytes(), 0o644)?;
    append(&mut archive, "layer.tar", &layer, 0o644)?;
    append(&mut archive, "manifest.json", manifest.to_string().as_bytes(), 0o644)?;
    archive.finish()
}

fn layer(busybox: &Path) -> std::io::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "bin/busybox", &std::fs::read(busybox)?, 0o755)?;
    append(&mut layer, "bin/sh", b"#!/bin/busybox sh\nexec /bin/busybox sh \"$@\"\n", 0o755)?;
    layer.into_inner()
}

fn append<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    data: &[u8],
    mode: u32,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, path, data)
}
