//! From a command line, an environment and perhaps a file to settings, by etcd's rules: a file replaces the other two; a flag
//! and its variable are not given both.

use std::fmt::Write;

use super::settings::Settings;
use super::table::{self, Does, Flag, Side};
use super::{Command, file};

/// What variables begin with.
const PREFIX: &str = "ETCD_";

/// Why nothing is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The command line is none; Go's flags say so with the usage.
    Usage(String),
    /// A value is wrong.
    Value(String),
}

/// Values as they were given, each with its flag and what to call that when it is wrong.
type Given = Vec<(Flag, String, String)>;

/// Settings, and what to say about them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Read {
    pub(crate) settings: Settings,
    /// What is told once there is a log.
    pub(crate) notes: Vec<String>,
}

/// The words of a command line, taken apart.
#[derive(Default)]
struct Line {
    given: Given,
    file: Option<String>,
    command: Option<Command>,
}

/// Reads everything; `env` is the whole environment.
pub(crate) fn read(
    args: impl Iterator<Item = String>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Command, Refused> {
    let line = line(args)?;
    if let Some(command) = line.command {
        return Ok(command);
    }
    let mut env: Vec<_> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    env.sort();
    let from_env =
        env.iter().find(|(name, _)| name == &variable("config-file")).map(|(_, value)| value.clone());
    let mut read = Read::default();
    if let Some(path) = line.file.or(from_env).filter(|path| !path.is_empty()) {
        read.notes
            .push(format!("{path} is the whole configuration: other flags and variables are not looked at"));
        for (flag, name, value) in file::values(&path, &mut read.notes).map_err(Refused::Value)? {
            read.set(flag, &name, &value).map_err(Refused::Value)?;
        }
    } else {
        for (flag, name, value) in line.given.iter().chain(&variables(&line.given, env, &mut read.notes)?) {
            let refused = if name.starts_with(PREFIX) { Refused::Value } else { Refused::Usage };
            read.set(*flag, name, value).map_err(refused)?;
        }
    }
    read.settings.check().map_err(Refused::Value)?;
    Ok(Command::Serve(Box::new(read)))
}

/// Takes the command line apart as Go does: one dash or two, `--name=value` or `--name value`, a switch alone.
fn line(args: impl Iterator<Item = String>) -> Result<Line, Refused> {
    let mut line = Line::default();
    let mut args = args;
    while let Some(arg) = args.next() {
        let Some(word) =
            arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|word| !word.is_empty())
        else {
            return Err(Refused::Value(format!("'{arg}' is not a valid flag")));
        };
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        match name {
            "h" | "help" => line.command = Some(Command::Help),
            "version" => line.command = Some(Command::Version),
            "config-file" => line.file = Some(needed(name, value, &mut args)?),
            _ => line.given.push(given(name, value, &mut args)?),
        }
        if line.command.is_some() {
            break;
        }
    }
    Ok(line)
}

fn given(
    name: &str,
    value: Option<String>,
    args: &mut impl Iterator<Item = String>,
) -> Result<(Flag, String, String), Refused> {
    let unknown = || Refused::Usage(format!("flag provided but not defined: -{name}"));
    let flag = table::find(name).ok_or_else(unknown)?;
    let value = match (flag.kind, value) {
        (super::value::Kind::Bool, None) => "true".into(),
        (_, value) => needed(name, value, args)?,
    };
    Ok((flag, format!("flag -{name}"), value))
}

fn needed(
    name: &str,
    value: Option<String>,
    args: &mut impl Iterator<Item = String>,
) -> Result<String, Refused> {
    value.or_else(|| args.next()).ok_or_else(|| Refused::Usage(format!("flag needs an argument: -{name}")))
}

/// The variable of a flag.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_uppercase().replace('-', "_"))
}

/// Those of the environment that are flags; others are told, and one whose flag is given too is refused.
fn variables(given: &Given, env: Vec<(String, String)>, notes: &mut Vec<String>) -> Result<Given, Refused> {
    let mut found = Given::new();
    for (name, value) in env {
        let flag = name.strip_prefix(PREFIX).map(|rest| rest.to_lowercase().replace('_', "-"));
        match flag.and_then(|flag| table::find(&flag)) {
            // An empty one counts as none, as in etcd.
            Some(_) if value.is_empty() => {}
            Some(flag) if given.iter().any(|(other, _, _)| other.name == flag.name) => {
                return Err(Refused::Value(format!(
                    "conflicting environment variable {name:?} is shadowed by corresponding command-line flag \
                     (either unset environment variable or disable flag)"
                )));
            }
            Some(flag) => found.push((flag, name, value)),
            None if name == variable("config-file") => {}
            None => notes.push(format!("unrecognized environment variable {name}={value}")),
        }
    }
    Ok(found)
}

impl Read {
    /// Sets what a flag sets; `name` is what it was given as.
    fn set(&mut self, flag: Flag, name: &str, value: &str) -> Result<(), String> {
        let wrong = |why: String| match (flag.kind, why.as_str(), name.strip_prefix("flag ")) {
            (super::value::Kind::Bool, "parse error", Some(name)) => {
                format!("invalid boolean value {value:?} for {name}: {why}")
            }
            _ => format!("invalid value {value:?} for {name}: {why}"),
        };
        flag.kind.check(value).map_err(wrong)?;
        let same = |usual: &str| {
            value == usual
                || super::value::switch(value).is_ok_and(|on| usual == if on { "true" } else { "false" })
        };
        match flag.does {
            Does::Sets(set) => set(&mut self.settings, value).map_err(wrong),
            Does::SetsTls(Side::Clients, set) => set(&mut self.settings.client_tls, value).map_err(wrong),
            Does::SetsTls(Side::Peers, set) => set(&mut self.settings.peer_tls, value).map_err(wrong),
            Does::Notes(usual) => {
                if !same(usual) {
                    self.notes.push(format!("--{} has no effect: {}", flag.name, flag.help));
                }
                Ok(())
            }
            Does::Refuses(only) if same(only) => Ok(()),
            Does::Refuses(_) => Err(wrong(flag.help.to_lowercase().trim_end_matches('.').to_owned())),
        }
    }
}

/// The help: every flag with what it does.
pub(crate) fn usage() -> String {
    let mut text = String::from(USAGE);
    let part = |text: &mut String, title: &str, wanted: fn(&Does) -> bool| {
        text.push_str(title);
        for flag in table::all().filter(|flag| wanted(&flag.does)) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  --{}{}\n        {}", flag.name, flag.kind.word(), flag.help);
        }
    };
    part(&mut text, "\nFlags:\n", |does| matches!(does, Does::Sets(_) | Does::SetsTls(..)));
    part(&mut text, "\nTaken without effect:\n", |does| matches!(does, Does::Notes(_)));
    part(&mut text, "\nRefused, but for what is so anyway:\n", |does| matches!(does, Does::Refuses(_)));
    text
}

const USAGE: &str = "\
Serves etcd's v3 API: etcdctl and kube-apiserver use it as they use etcd. A server that is told of other members, or that
listens for some (--listen-peer-urls), is a member of a group; any other keeps its data without a log, and stays alone.

Usage:

  kube-store [flags]
  kube-store --config-file FILE
        All settings from a YAML file, with the keys of etcd's.
  kube-store snapshot restore FILE [--data-dir DIR] [--skip-hash-check] [--engine ENGINE]
        Fills a new data folder from a snapshot of etcd's or ours.
  kube-store --version
  kube-store --help

Each flag may be given as a variable: --data-dir as ETCD_DATA_DIR.
";
