//! URLs, read as Go's `net/url` reads them, which normalises nothing.

use std::collections::BTreeMap;

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Url {
    pub(super) scheme: String,
    /// What follows the scheme if that is no hierarchy.
    opaque: String,
    user: String,
    /// The host, with the port.
    pub(super) host: String,
    /// The path, with what cannot stand in one written as `%20` and the like.
    pub(super) path: String,
    query: String,
    fragment: String,
}

/// Where in a URL a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Host,
    Path,
    User,
    Query,
    Fragment,
}

impl Url {
    /// Reads an absolute URL, or says in Go's words why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::check(text)?;
        let refused = |reason: String| format!("parse {text:?}: {reason}");
        let (main, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Self::parts(main, false).map_err(refused)?;
        url.fragment = decoded(fragment, Place::Fragment).map_err(refused)?;
        Ok(url)
    }

    /// Whether it is what a request could be sent to. A fragment counts as part of what is before it.
    pub(super) fn check(text: &str) -> Result<(), String> {
        Self::parts(text, true).map(drop).map_err(|reason| format!("parse {text:?}: {reason}"))
    }

    fn parts(text: &str, request: bool) -> Result<Self, String> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        if text.is_empty() && request {
            return Err("empty url".to_owned());
        }
        let mut url = Self::default();
        if text == "*" {
            return Ok(Self { path: text.to_owned(), ..url });
        }
        let (scheme, rest) = scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (mut rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        query.clone_into(&mut url.query);
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                return Ok(Self { opaque: rest.to_owned(), ..url });
            }
            if request {
                return Err("invalid URI for request".to_owned());
            }
            if rest.split('/').next().is_some_and(|first| first.contains(':')) {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let named = !scheme.is_empty() || !request && !rest.starts_with("///");
        if let Some(authority) = rest.strip_prefix("//").filter(|_| named) {
            let end = authority.find('/').unwrap_or(authority.len());
            let (authority, path) = authority.split_at(end);
            (url.user, url.host) = read_authority(authority)?;
            rest = path;
        }
        url.path = path(rest)?;
        Ok(url)
    }

    /// The host without the port and without brackets.
    pub(super) fn hostname(&self) -> &str {
        let host = self.host.rsplit_once(':').filter(|(_, port)| is_digits(port));
        let host = host.map_or(self.host.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    pub(super) fn port(&self) -> &str {
        self.host.rsplit_once(':').map(|(_, port)| port).filter(|port| is_digits(port)).unwrap_or_default()
    }

    /// The keys of the query, each with its values in their order. What is malformed is left out.
    pub(super) fn query(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Ok(key), Ok(value)) = (decoded(key, Place::Query), decoded(value, Place::Query)) {
                found.entry(key).or_default().push(value);
            }
        }
        found
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.host.len() + self.path.len() + self.query.len()
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

/// The user and the host.
fn read_authority(authority: &str) -> Result<(String, String), String> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Ok((String::new(), read_host(authority)?));
    };
    let host = read_host(host)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(plain) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    decoded(user, Place::User)?;
    Ok((user.to_owned(), host))
}

fn read_host(host: &str) -> Result<String, String> {
    let after = match host.strip_prefix('[') {
        Some(_) => match host.rfind(']') {
            Some(end) => &host[end + 1..],
            None => return Err("missing ']' in host".to_owned()),
        },
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    if !after.is_empty() && !after.strip_prefix(':').is_some_and(is_digits) {
        return Err(format!("invalid port {after:?} after host"));
    }
    decoded(host, Place::Host)
}

/// A path as it was written, if that was right, and otherwise with all that must be escaped.
fn path(raw: &str) -> Result<String, String> {
    let decoded = decoded_bytes(raw, Place::Path)?;
    let fine = |byte: u8| !must_be_escaped(byte, Place::Path) || b"!'()*[]%".contains(&byte);
    if raw.bytes().all(fine) {
        return Ok(raw.to_owned());
    }
    let mut path = String::new();
    for byte in decoded {
        match must_be_escaped(byte, Place::Path) {
            true => path += &format!("%{byte:02X}"),
            false => path.push(char::from(byte)),
        }
    }
    Ok(path)
}

fn must_be_escaped(byte: u8, place: Place) -> bool {
    let plain: &[u8] = match place {
        Place::Host => b"-_.~!$&'()*+,;=:[]<>\"",
        Place::Path => b"-_.~$&+,/:;=@",
        _ => b"-_.~",
    };
    !byte.is_ascii_alphanumeric() && !plain.contains(&byte)
}

fn decoded(text: &str, place: Place) -> Result<String, String> {
    decoded_bytes(text, place).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The text with each `%20` and the like replaced by what it stands for.
fn decoded_bytes(text: &str, place: Place) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, more @ ..] = rest {
        rest = more;
        match byte {
            b'%' => {
                let code = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let value = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let value = value.and_then(|code| u8::from_str_radix(code, 16).ok());
                // A host in which ASCII is escaped could be read in two ways.
                let value = value.filter(|value| place != Place::Host || *value >= 0x80 || *value == b'%');
                let Some(value) = value else {
                    let shown = String::from_utf8_lossy(more.get(..2).unwrap_or(more));
                    return Err(format!("invalid URL escape {:?}", format!("%{shown}")));
                };
                bytes.push(value);
                rest = more.get(2..).unwrap_or_default();
            }
            b'+' if place == Place::Query => bytes.push(b' '),
            byte if place == Place::Host && byte.is_ascii() && must_be_escaped(*byte, place) => {
                return Err(format!("invalid character {:?} in host name", char::from(*byte).to_string()));
            }
            byte => bytes.push(*byte),
        }
    }
    Ok(bytes)
}
