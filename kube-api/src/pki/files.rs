use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{Identity, PkiError};

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::File { path, source }
}

pub(super) fn make_dir(dir: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))
}

/// The file's text, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// `NAME.crt` and `NAME.key`, if both exist.
pub(super) fn read_pair(dir: &Path, name: &str) -> Result<Option<Identity>, PkiError> {
    let cert_pem = read(&dir.join(format!("{name}.crt")))?;
    let key_pem = read(&dir.join(format!("{name}.key")))?;
    Ok(cert_pem.zip(key_pem).map(|(cert_pem, key_pem)| Identity { cert_pem, key_pem }))
}

/// Writes the key first: a certificate without its key would look complete to nobody, the other way round it might.
pub(super) fn write_pair(dir: &Path, name: &str, identity: &Identity) -> Result<(), PkiError> {
    write_secret(&dir.join(format!("{name}.key")), &identity.key_pem)?;
    write(&dir.join(format!("{name}.crt")), &identity.cert_pem, 0o644)
}

pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), PkiError> {
    write(path, text, 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let fresh = path.with_extension("new");
    let written = || {
        let _ = fs::remove_file(&fresh);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    written().map_err(at(path))
}
