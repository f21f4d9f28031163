use std::path::PathBuf;
use std::time::Duration;

/// Where plugins and their results are, and how long a plugin may run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folders searched in order for plugin binaries. Default: `/opt/cni/bin`.
    pub plugin_dirs: Vec<PathBuf>,
    /// Where results are kept between `ADD` and `DEL`. Default: `/var/lib/cni`; results go to `results/` in it, in the
    /// form that other CNI runtimes use.
    pub cache_dir: PathBuf,
    /// How long one plugin may run before it is killed. Default: 60 seconds.
    pub plugin_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plugin_dirs: vec!["/opt/cni/bin".into()],
            cache_dir: "/var/lib/cni".into(),
            plugin_timeout: Duration::from_secs(60),
        }
    }
}
