//! The last steps: the working directory, the search for the program, its execution.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{chdir, getcwd};

use super::channel::{Channel, Message};
use super::{During, Result, credentials, reason};
use crate::shim::oci::Process;
use crate::shim::sys;

/// Goes to the working directory and becomes the process's user.
pub(super) fn settle(process: &Process) -> Result<()> {
    let cwd = process.cwd.as_path();
    let what = || format!("chdir to cwd ({cwd:?}) set in config.json failed");
    // First as root, who may enter what the user may not; on network file systems it can be the other way round.
    let entered = match chdir(cwd) {
        Err(Errno::ACCESS | Errno::PERM) => false,
        other => other.map(|()| true).during(what)?,
    };
    credentials::apply(process)?;
    if !entered {
        chdir(cwd).during(what)?;
    }
    // A folder outside the root (through a descriptor that should not have been open) has no path from it.
    match getcwd(Vec::new()) {
        Ok(path) if path.as_bytes().starts_with(b"/") => Ok(()),
        _ => Err(format!("cwd {cwd:?} is outside of the container's root")),
    }
}

/// Executes the program; the text that comes back is what users know from other runtimes.
pub(super) fn execute(channel: &Channel, process: &Process) -> Result<Infallible> {
    let failed = |text: String| format!("unable to start container process: {text}");
    let name = process.args.first().ok_or_else(|| failed("args must not be empty".to_owned()))?;
    let search = process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let program = find(name, search).map_err(failed)?;
    let text = |text: &[u8]| CString::new(text).during(|| "argument or variable with a zero byte".into());
    let args = process.args.iter().map(|arg| text(arg.as_bytes())).collect::<Result<Vec<_>>>()?;
    let env = process.env.iter().map(|entry| text(entry.as_bytes())).collect::<Result<Vec<_>>>()?;
    let path = text(program.as_os_str().as_bytes())?;
    channel.send(&Message::Ready).during(|| "tell that all is prepared".into())?;
    let error = sys::execute(&path, &args, &env);
    Err(failed(format!("exec {}: {}", program.display(), reason(&error))))
}

/// The file of a program given by path or, without a slash in it, by name.
fn find(name: &str, search: &str) -> Result<PathBuf> {
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("exec: {name:?}: stat {name}: {}", reason(&error)))
            }
            Err(error) => Err(format!("exec: {name:?}: {}", reason(&error))),
        };
    }
    // An empty folder in the list would mean the working directory, which is whatever the image says.
    let mut candidates =
        search.split(':').filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(name));
    let found = candidates.find(|path| !name.is_empty() && check(path).is_ok());
    found.ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

fn check(path: &Path) -> io::Result<()> {
    let meta = std::fs::metadata(path)?;
    if meta.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(Errno::ACCESS.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_or_path_or_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("folder")).unwrap();
        std::fs::write(path("plain"), "").unwrap();
        std::fs::write(path("program"), "").unwrap();
        std::fs::set_permissions(path("program"), std::fs::Permissions::from_mode(0o711)).unwrap();
        let search = format!("/no/such::{}", folder.path().display());
        assert_eq!(find("program", &search), Ok(path("program").into()));
        assert_eq!(find(&path("program"), ""), Ok(path("program").into()));
        for name in ["missing", "plain", "folder", ""] {
            let expected = format!("exec: {name:?}: executable file not found in $PATH");
            assert_eq!(find(name, &search), Err(expected));
        }
        let named = |name: &str| find(&path(name), "").unwrap_err();
        let missing = path("missing");
        assert_eq!(named("missing"), format!("exec: {missing:?}: stat {missing}: no such file or directory"));
        assert_eq!(named("plain"), format!("exec: {:?}: permission denied", path("plain")));
        assert_eq!(named("folder"), format!("exec: {:?}: is a directory", path("folder")));
    }
}
