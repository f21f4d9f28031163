use std::path::{Path, PathBuf};

use crate::Failure;

/// Memory of one or more processes, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Memory {
    /// Resident: every page that is mapped, also those shared with others.
    pub(super) rss: f64,
    /// Proportional: a page shared by n processes counts as 1/n in each.
    pub(super) pss: f64,
}

impl Memory {
    /// Of one process.
    pub(super) fn of(pid: u32) -> Result<Self, Failure> {
        let path = format!("/proc/{pid}/smaps_rollup");
        parse(&std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?)
    }

    /// The mean over processes.
    pub(super) fn mean(pids: &[u32]) -> Result<Self, Failure> {
        let all = pids.iter().map(|pid| Self::of(*pid)).collect::<Result<Vec<_>, _>>()?;
        let count = all.len().max(1) as f64;
        let mean = |part: fn(&Self) -> f64| all.iter().map(part).sum::<f64>() / count;
        Ok(Self { rss: mean(|memory| memory.rss), pss: mean(|memory| memory.pss) })
    }
}

fn parse(rollup: &str) -> Result<Memory, Failure> {
    let field = |name: &str| {
        let value = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    };
    match (field("Rss:"), field("Pss:")) {
        (Some(rss), Some(pss)) => Ok(Memory { rss: rss / 1024.0, pss: pss / 1024.0 }),
        _ => Err("smaps_rollup has no Rss and Pss".into()),
    }
}

/// The processes that were started as `program` with an argument below `dir`.
pub(super) fn processes(program: &str, dir: &Path) -> Result<Vec<u32>, Failure> {
    let pids = std::fs::read_dir("/proc")?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |pid: &u32| {
        // A process that has ended meanwhile is none.
        let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split('\0');
        arguments.next() == Some(program)
            && arguments.any(|argument| PathBuf::from(argument).starts_with(dir))
    };
    Ok(pids.filter(is_one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_is_read() {
        let text =
            "5581 7fff ---p 00000000 00:00 0  [rollup]\nRss:    2048 kB\nPss:    512 kB\nPss_Anon:  1 kB\n";
        assert_eq!(parse(text).ok(), Some(Memory { rss: 2.0, pss: 0.5 }));
        assert!(parse("Rss: 1 kB\n").is_err());
    }

    #[test]
    fn a_process_is_not_started_as_something_else() {
        assert_eq!(processes("no such program", Path::new("/")).ok(), Some(Vec::new()));
    }
}
