//! Small tools, each a screenful less than its namesake. They print: that is what they are for.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "command-line tools")]

use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;

pub(super) fn say(line: &str) {
    println!("{line}");
}

pub(super) fn complain(line: &str) {
    eprintln!("{line}");
}

pub(super) fn env(_: &[String]) -> i32 {
    std::env::vars_os().for_each(|(key, value)| say(&format!("{}={}", key.display(), value.display())));
    0
}

pub(super) fn date(_: &[String]) -> i32 {
    say(&now());
    0
}

/// Prints a numbered line every second (or every `tick SECONDS`): something to follow.
pub(super) fn tick(arguments: &[String]) -> i32 {
    let seconds = arguments.get(1).and_then(|s| s.parse().ok()).unwrap_or(1.0_f64);
    let ticking = async {
        for n in 1_u64.. {
            say(&format!("tick {n} {}", now()));
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)).await;
        }
    };
    super::block_on(ticking).map_or(1, |()| 0)
}

pub(super) fn ls(arguments: &[String]) -> i32 {
    let paths =
        arguments.get(1..).filter(|paths| !paths.is_empty()).map_or(vec![".".to_owned()], <[_]>::to_vec);
    let mut code = 0;
    for path in paths.iter().filter(|path| !path.starts_with('-')) {
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut names: Vec<_> =
                    entries.flatten().map(|e| e.file_name().display().to_string()).collect();
                names.sort();
                names.iter().for_each(|name| say(name));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => say(path),
            Err(error) => {
                complain(&format!("ls: {path}: {error}"));
                code = 1;
            }
        }
    }
    code
}

/// Gets an `http` URL and prints its body: `get http://web/`.
pub(super) fn get(arguments: &[String]) -> i32 {
    let Some(url) = arguments.get(1) else {
        complain("usage: get http://HOST[:PORT]/PATH");
        return 2;
    };
    let fetched = super::block_on(async { tokio::time::timeout(Duration::from_secs(10), fetch(url)).await });
    match fetched {
        Ok(Ok(Ok(body))) => {
            print!("{body}");
            0
        }
        Ok(Ok(Err(error))) => failed(url, &error.to_string()),
        Ok(Err(_)) => failed(url, "timed out"),
        Err(error) => failed(url, &error.to_string()),
    }
}

fn failed(url: &str, reason: &str) -> i32 {
    complain(&format!("get: {url}: {reason}"));
    1
}

async fn fetch(url: &str) -> Result<String, Box<dyn std::error::Error>> {
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}/") };
    let uri: http::Uri = full.parse()?;
    let authority = uri.authority().ok_or("no host")?;
    let stream =
        tokio::net::TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let request = http::Request::get(path).header("host", authority.as_str()).body(String::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
