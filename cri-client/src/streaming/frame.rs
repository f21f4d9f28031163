use serde::{Deserialize, Serialize};

use super::{Exit, TerminalSize};

pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const STATUS: u8 = 3;
pub(super) const RESIZE: u8 = 4;
pub(super) const CLOSE: u8 = 255;

/// The subprotocols this client speaks, best first.
pub(super) const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";

pub(super) fn data(channel: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 1);
    frame.push(channel);
    frame.extend_from_slice(payload);
    frame
}

pub(super) fn resize(size: TerminalSize) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Size {
        width: u16,
        height: u16,
    }
    let json = serde_json::to_vec(&Size { width: size.width, height: size.height });
    data(RESIZE, &json.unwrap_or_default())
}

/// Reads the `Status` of channel 3: success, a command's exit code among the causes, or a message.
pub(super) fn exit(status: &[u8]) -> Exit {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Status {
        status: String,
        message: String,
        details: Option<Details>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Details {
        causes: Vec<Cause>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Cause {
        reason: String,
        message: String,
    }
    let Ok(status) = serde_json::from_slice::<Status>(status) else {
        return Exit::Failed(String::from_utf8_lossy(status).into_owned());
    };
    if status.status == "Success" {
        return Exit::Code(0);
    }
    let causes = status.details.unwrap_or_default().causes;
    let code = causes.iter().find(|c| c.reason == "ExitCode").and_then(|c| c.message.parse().ok());
    code.map_or(Exit::Failed(status.message), Exit::Code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses() {
        let cases: [(&[u8], Exit); 4] = [
            (br#"{"status":"Success"}"#, Exit::Code(0)),
            (
                br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#,
                Exit::Code(3),
            ),
            (br#"{"status":"Failure","message":"no such file"}"#, Exit::Failed("no such file".into())),
            (b"not json", Exit::Failed("not json".into())),
        ];
        for (input, expected) in cases {
            assert_eq!(exit(input), expected);
        }
    }

    #[test]
    fn resize_is_json_with_capital_names() {
        assert_eq!(resize(TerminalSize { width: 80, height: 24 }), b"\x04{\"Width\":80,\"Height\":24}");
    }
}
