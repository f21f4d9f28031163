use http::{Method, StatusCode, Uri};

use crate::seam::ExecRequest;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Logs(Place, Vec<(String, String)>),
    /// An empty command attaches.
    Exec(Place, ExecRequest),
}

/// A container of a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
}

impl Route {
    pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Self, StatusCode> {
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let parameters = parameters(uri.query().unwrap_or_default());
        match (parts.as_slice(), method) {
            (["healthz"], &Method::GET) => Ok(Self::Health),
            (["containerLogs", place @ ..], &Method::GET) => Ok(Self::Logs(Place::parse(place)?, parameters)),
            (["exec", place @ ..], &Method::GET | &Method::POST) => {
                let place = Place::parse(place)?;
                let request = streams(&parameters);
                if request.command.is_empty() {
                    Err(StatusCode::BAD_REQUEST)
                } else {
                    Ok(Self::Exec(place, request))
                }
            }
            (["attach", place @ ..], &Method::GET | &Method::POST) => {
                let request = ExecRequest { command: Vec::new(), ..streams(&parameters) };
                Ok(Self::Exec(Place::parse(place)?, request))
            }
            (["healthz" | "containerLogs" | "exec" | "attach", ..], _) => Err(StatusCode::METHOD_NOT_ALLOWED),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

impl Place {
    /// Names are compared with labels, never made part of a path; what could not be a name is refused all the same.
    fn parse(parts: &[&str]) -> Result<Self, StatusCode> {
        let is_name = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        };
        match parts {
            [namespace, pod, container] if parts.iter().all(is_name) => Ok(Self {
                namespace: (*namespace).to_owned(),
                pod: (*pod).to_owned(),
                container: (*container).to_owned(),
            }),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

/// Both the kubelet's names of the streams (`input`) and the API server's (`stdin`) are understood.
fn streams(parameters: &[(String, String)]) -> ExecRequest {
    let has = |names: [&str; 2]| {
        parameters
            .iter()
            .any(|(name, value)| names.contains(&name.as_str()) && matches!(value.as_str(), "1" | "true"))
    };
    let tty = has(["tty", "tty"]);
    ExecRequest {
        command: parameters
            .iter()
            .filter(|(name, _)| name == "command")
            .map(|(_, value)| value.clone())
            .collect(),
        tty,
        stdin: has(["input", "stdin"]),
        stdout: has(["output", "stdout"]),
        // A terminal has one output.
        stderr: has(["error", "stderr"]) && !tty,
    }
}

fn parameters(query: &str) -> Vec<(String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(parameter).collect()
}

fn parameter(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((decoded(name)?, decoded(value)?))
}

/// Undoes percent-encoding; `None` if the result is not text.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, uri: &str) -> Result<Route, StatusCode> {
        Route::parse(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn commands_and_streams_are_read() {
        let uri = "/exec/default/web/app?command=sh&command=-c&command=echo+a%20%26%26%20b&input=1&output=1&error=1&tty=1";
        let Ok(Route::Exec(place, request)) = parse("POST", uri) else { panic!("not an exec") };
        assert_eq!((place.pod.as_str(), place.container.as_str()), ("web", "app"));
        assert_eq!(request.command, ["sh", "-c", "echo a && b"]);
        assert!(request.tty && request.stdin && request.stdout && !request.stderr);
        let Ok(Route::Exec(_, request)) =
            parse("GET", "/attach/default/web/app?stdin=true&stderr=true&command=x")
        else {
            panic!("not an attach")
        };
        assert!(request.command.is_empty() && request.stdin && request.stderr && !request.stdout);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let cases = [
            ("GET", "/", StatusCode::NOT_FOUND),
            ("GET", "/run/a/b/c?cmd=x", StatusCode::NOT_FOUND),
            ("GET", "/containerLogs/a/b", StatusCode::NOT_FOUND),
            ("GET", "/containerLogs/a/../c", StatusCode::OK),
            ("GET", "/containerLogs/a/%2e%2e/c", StatusCode::NOT_FOUND),
            ("GET", "/containerLogs/a/B/c", StatusCode::NOT_FOUND),
            ("GET", "/exec/a/b/c", StatusCode::BAD_REQUEST),
            ("DELETE", "/exec/a/b/c?command=x", StatusCode::METHOD_NOT_ALLOWED),
        ];
        for (method, uri, status) in cases {
            assert_eq!(parse(method, uri).err().unwrap_or(StatusCode::OK), status, "{method} {uri}");
        }
    }
}
