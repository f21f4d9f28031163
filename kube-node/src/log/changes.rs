use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::{Error, Result};

/// Says when a file may have changed: by inotify on its folder, which also sees its rotation.
pub(super) struct Changes {
    events: AsyncFd<OwnedFd>,
}

impl Changes {
    #[expect(deprecated, reason = "an owned descriptor upholds what the unsafe successor asks for")]
    pub(super) fn of(path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(path);
        let watch = || {
            let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let kinds = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
            inotify::add_watch(&events, folder, kinds)?;
            AsyncFd::new(events)
        };
        let events = watch().map_err(Error::io(format!("watch {}", folder.display())))?;
        Ok(Self { events })
    }

    /// Resolves after something in the folder has changed since the last call.
    pub(super) async fn next(&mut self) -> Result<()> {
        let seen = async {
            let mut ready = self.events.readable().await?;
            // What the events say does not matter: the caller looks at the file.
            let mut events = [0_u8; 4096];
            while ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut events)?)).is_ok() {}
            Ok(())
        };
        seen.await.map_err(Error::io("watch a log"))
    }
}
