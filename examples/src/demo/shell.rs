use std::collections::HashMap;
use std::io::{BufRead, IsTerminal, Write};

use super::tools::complain;

/// `sh -c LINE`, `sh < FILE`, or a prompt. Each line is run by itself: `cd` and `export` do not outlive it.
pub(super) fn main(arguments: &[String]) -> i32 {
    match (arguments.get(1).map(String::as_str), arguments.get(2)) {
        (Some("-c"), Some(line)) => run(line),
        (None, _) => read_lines(),
        _ => {
            complain("usage: sh [-c LINE]");
            2
        }
    }
}

/// One of the shell's own commands under its name, such as `cat`.
pub(super) fn builtin(arguments: &[String]) -> i32 {
    let name = arguments.first().map(|path| path.rsplit('/').next().unwrap_or(path)).unwrap_or_default();
    let quoted = arguments.iter().skip(1).map(|a| format!(" '{}'", a.replace('\'', r"'\''")));
    run(&std::iter::once(name.to_owned()).chain(quoted).collect::<String>())
}

fn run(line: &str) -> i32 {
    let list = match deno_task_shell::parser::parse(line) {
        Ok(list) => list,
        Err(error) => {
            complain(&format!("sh: {error:#}"));
            return 2;
        }
    };
    let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let done = deno_task_shell::execute(
        list,
        std::env::vars_os().collect(),
        directory,
        HashMap::new(),
        deno_task_shell::KillSignal::default(),
    );
    super::block_on(done).unwrap_or(1)
}

fn read_lines() -> i32 {
    let prompt = std::io::stdin().is_terminal();
    let mut code = 0;
    loop {
        if prompt {
            let mut out = std::io::stdout();
            let _ = out.write_all(b"$ ").and_then(|()| out.flush());
        }
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(n) if n > 0 => {}
            _ => return code,
        }
        match line.trim() {
            "" => {}
            "exit" => return code,
            line => match line.strip_prefix("exit ").and_then(|code| code.trim().parse().ok()) {
                Some(code) => return code,
                None => code = run(line),
            },
        }
    }
}
