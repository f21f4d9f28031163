//! What a registry wants to know before it answers: the `WWW-Authenticate` header (RFC 9110, section 11).

use std::collections::BTreeMap;

/// A challenge that this client can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from a token service.
    Bearer {
        /// Where that is.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What the token is to allow.
        scope: Option<String>,
        /// What was wrong with the token that was sent.
        error: Option<String>,
    },
    /// User name and password.
    Basic,
}

/// The best challenge in these header lines: a token before a password, which it spares from being sent often.
pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, mut words) in lines.flat_map(challenges) {
        if scheme == "basic" {
            basic = Some(Challenge::Basic);
        } else if scheme == "bearer" && words.contains_key("realm") {
            let mut take = |key| words.remove(key).filter(|word: &String| !word.is_empty());
            let (service, scope, error) = (take("service"), take("scope"), take("error"));
            return Some(Challenge::Bearer {
                realm: take("realm").unwrap_or_default(),
                service,
                scope,
                error,
            });
        }
    }
    basic
}

/// Schemes in lower case, each with its parameters. One header line may hold several, with commas between parameters and challenges alike.
fn challenges(line: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for item in split(line) {
        let (before, value) = item.split_once('=').map_or((item, None), |(key, value)| (key, Some(value)));
        let (scheme, key) = match before.trim().rsplit_once(char::is_whitespace) {
            Some((scheme, key)) => (Some(scheme.trim()), key),
            None if value.is_none() => (Some(before.trim()), ""),
            None => (None, before.trim()),
        };
        found.extend(scheme.filter(|s| !s.is_empty()).map(|s| (s.to_lowercase(), BTreeMap::new())));
        if let (Some(value), Some((_, words))) = (value, found.last_mut()) {
            words.insert(key.to_lowercase(), unquote(value.trim()));
        }
    }
    found
}

/// The parts between commas that are not inside quotes.
fn split(line: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let is_comma = |c: char| {
        let comma = c == ',' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        comma
    };
    line.split(is_comma).collect()
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    let keep = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inner.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        let word = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Challenge::Bearer { realm: realm.to_owned(), service: word(service), scope: word(scope), error: None }
    }

    #[test]
    fn challenges_are_understood() {
        let check = |lines: &[&str], expected: Option<Challenge>| {
            assert_eq!(parse(lines.iter().copied()), expected, "{lines:?}");
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let answer = bearer("https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push");
        check(&[hub], Some(answer.clone()));
        check(&[r#"Basic realm="x""#], Some(Challenge::Basic));
        check(&["Basic"], Some(Challenge::Basic));
        check(&[r#"basic REALM="x""#, hub], Some(answer));
        check(
            &[r#"Basic realm="a, b", Bearer realm=https://t , scope="s""#],
            Some(bearer("https://t", "", "s")),
        );
        check(&[r#"bearer realm="say \"hi\"",service="""#], Some(bearer("say \"hi\"", "", "")));
        check(&[r#"Negotiate, Basic realm="x""#], Some(Challenge::Basic));
        check(&["Negotiate abc=="], None);
        check(&["Bearer service=\"x\""], None);
        check(&["", ",", "=", "\""], None);
        let refused = r#"Bearer realm="r",error="insufficient_scope""#;
        assert!(
            matches!(parse([refused].into_iter()), Some(Challenge::Bearer { error: Some(e), .. }) if e == "insufficient_scope")
        );
    }
}
