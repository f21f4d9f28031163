//! Kubernetes' channel subprotocols: each binary message begins with the number of a channel.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;

use crate::Error;
use crate::seam::TerminalSize;

pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
const STDIN: u8 = 0;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// The subprotocol a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `v4.channel.k8s.io`: a command never sees the end of its input.
    V4,
    /// `v5.channel.k8s.io`: channel 255 closes the channel named in its message.
    V5,
}

impl Protocol {
    pub(super) const NAMES: &str = "v5.channel.k8s.io, v4.channel.k8s.io";

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::V5, Self::V4].into_iter().find(|protocol| protocol.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4.channel.k8s.io",
            Self::V5 => "v5.channel.k8s.io",
        }
    }
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Stdin(Bytes),
    EndOfStdin,
    Resize(TerminalSize),
    /// Nothing this side acts on.
    Ignored,
}

impl Input {
    pub(super) fn parse(protocol: Protocol, mut message: Bytes) -> Self {
        if message.is_empty() {
            return Self::Ignored;
        }
        match message.split_to(1).first() {
            Some(&STDIN) => Self::Stdin(message),
            Some(&RESIZE) => size(&message).map_or(Self::Ignored, Self::Resize),
            Some(&CLOSE) if protocol == Protocol::V5 && message.first() == Some(&STDIN) => Self::EndOfStdin,
            _ => Self::Ignored,
        }
    }
}

fn size(json: &[u8]) -> Option<TerminalSize> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Size {
        width: u16,
        height: u16,
    }
    let size: Size = serde_json::from_slice(json).ok()?;
    Some(TerminalSize { width: size.width, height: size.height })
}

/// A piece of output.
pub(super) fn output(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}

/// How a session ended: the last message.
pub(super) fn status(ended: &Result<i32, Error>) -> Bytes {
    let status = match ended {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
        Err(error) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("error executing command in container: {error}")}),
    };
    output(STATUS, status.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_by_their_channel() {
        let parse = |protocol, message: &'static [u8]| Input::parse(protocol, Bytes::from_static(message));
        assert_eq!(parse(Protocol::V4, b"\0input"), Input::Stdin(Bytes::from_static(b"input")));
        assert_eq!(parse(Protocol::V5, b"\xff\0"), Input::EndOfStdin);
        assert_eq!(parse(Protocol::V4, b"\xff\0"), Input::Ignored);
        let size = TerminalSize { width: 80, height: 24 };
        assert_eq!(parse(Protocol::V4, b"\x04{\"Width\":80,\"Height\":24}"), Input::Resize(size));
        for odd in [&b""[..], b"\x04{}", b"\x04x", b"\x09", b"\xff", b"\x01x"] {
            assert_eq!(Input::parse(Protocol::V5, Bytes::from_static(odd)), Input::Ignored, "{odd:?}");
        }
    }

    #[test]
    fn an_exit_code_is_among_the_causes() {
        let text = String::from_utf8(status(&Ok(3)).to_vec()).unwrap();
        assert!(
            text.starts_with("\u{3}{") && text.contains(r#"{"message":"3","reason":"ExitCode"}"#),
            "{text}"
        );
        assert!(status(&Ok(0)).ends_with(br#""status":"Success"}"#));
    }
}
