//! Tokens: text that stands for a user until it was not used for a while.
//!
//! Every member of a group has to know the tokens that another gave out. So a token says whose it is and until when, and is
//! signed with a key that the store keeps; a member that it was used at honours it for longer, as etcd does. The user's
//! stored password is signed as well, so another password, or another key, ends all tokens of before.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ring::hmac;
use tokio::time::Instant;

use super::model::Model;

/// Most tokens remembered at once; beyond it the one that would end first is forgotten.
const MOST: usize = 10_000;

/// When which tokens end that were used here.
#[derive(Debug)]
pub(super) struct Tokens {
    ends: HashMap<String, Instant>,
    /// How long one lives after its last use.
    ttl: Duration,
}

/// The moment, by the clock that measures and by the one that members share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) here: Instant,
    pub(super) everywhere: SystemTime,
}

impl Now {
    pub(super) fn seconds(self) -> u64 {
        self.everywhere.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }
}

/// What is signed: length first, so that nothing of one part passes for another's.
fn signed(ends: u64, user: &str, password: &[u8]) -> Vec<u8> {
    [&ends.to_be_bytes()[..], &(user.len() as u64).to_be_bytes(), user.as_bytes(), password].concat()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

/// A new token of a user who has a password; `None` when there is no key yet, or no such user.
pub(super) fn sign(model: &Model, user: &str, now: Now, ttl: Duration) -> Option<String> {
    let password = model.password(user).ok()??;
    let ends = now.seconds().saturating_add(ttl.as_secs());
    let tag = hmac::sign(&key(model)?, &signed(ends, user, &password));
    Some(format!("{ends:x}.{}.{}", to_hex(user.as_bytes()), to_hex(tag.as_ref())))
}

fn key(model: &Model) -> Option<hmac::Key> {
    let key: &Bytes = model.token_key.as_ref()?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, key))
}

/// Whose token it is, and when it would end had nobody used it; `None` when nobody gave it out.
pub(super) fn verify(model: &Model, text: &str) -> Option<(String, u64)> {
    let mut parts = text.split('.');
    let (ends, user, tag) = (parts.next()?, parts.next()?, parts.next()?);
    let ends = u64::from_str_radix(ends, 16).ok()?;
    let user = String::from_utf8(from_hex(user)?).ok()?;
    let password = model.password(&user).ok()??;
    hmac::verify(&key(model)?, &signed(ends, &user, &password), &from_hex(tag)?).ok()?;
    parts.next().is_none().then_some((user, ends))
}

impl Tokens {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ends: HashMap::new(), ttl }
    }

    /// Whose token it is, which keeps it alive.
    pub(super) fn user(&mut self, model: &Model, text: &str, now: Now) -> Option<String> {
        let (user, ends) = verify(model, text)?;
        let used = self.ends.get(text).is_some_and(|ends| *ends > now.here);
        if !used && ends <= now.seconds() {
            return None;
        }
        if !used {
            self.make_room(now.here);
        }
        self.ends.insert(text.to_owned(), now.here + self.ttl);
        Some(user)
    }

    fn make_room(&mut self, now: Instant) {
        if self.ends.len() < MOST {
            return;
        }
        self.ends.retain(|_, ends| *ends > now);
        if self.ends.len() >= MOST {
            let first = self.ends.iter().min_by_key(|(_, ends)| **ends).map(|(text, _)| text.clone());
            first.and_then(|text| self.ends.remove(&text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(password: &'static str, key: &'static str) -> Model {
        let mut model = Model::default();
        model.add_user("a".into(), password.into(), None).unwrap();
        model.token_key = Some(key.into());
        model
    }

    fn later(now: Now, seconds: u64) -> Now {
        let time = Duration::from_secs(seconds);
        Now { here: now.here + time, everywhere: now.everywhere + time }
    }

    const TTL: u64 = 300;

    fn sign(model: &Model, user: &str, now: Now) -> Option<String> {
        super::sign(model, user, now, Duration::from_secs(TTL))
    }

    fn tokens() -> Tokens {
        Tokens::new(Duration::from_secs(TTL))
    }

    #[test]
    fn a_token_is_known_to_every_member_and_ends_when_it_is_not_used() {
        let start = Now { here: Instant::now(), everywhere: UNIX_EPOCH + Duration::from_secs(1 << 30) };
        let model = model("p", "k");
        let text = sign(&model, "a", start).unwrap();
        let (mut one, mut other) = (tokens(), tokens());
        for n in 1..4 {
            assert_eq!(one.user(&model, &text, later(start, n * (TTL - 1))).as_deref(), Some("a"));
        }
        assert_eq!(other.user(&model, &text, later(start, TTL - 1)).as_deref(), Some("a"));
        assert_eq!(other.user(&model, &text, later(start, 3 * TTL)), None);
        assert_eq!(tokens().user(&model, &text, later(start, TTL)), None);
    }

    #[test]
    fn another_password_key_or_text_is_refused() {
        let start = Now { here: Instant::now(), everywhere: UNIX_EPOCH };
        let text = sign(&model("p", "k"), "a", start).unwrap();
        let mut tokens = tokens();
        assert_eq!(tokens.user(&model("p", "k"), &text, start).as_deref(), Some("a"));
        for model in [model("q", "k"), model("p", "l"), Model::default()] {
            assert_eq!(tokens.user(&model, &text, start), None);
        }
        for text in ["", "..", &text[1..], &text[..text.len() - 1], &format!("{text}.")] {
            assert_eq!(tokens.user(&model("p", "k"), text, start), None, "{text}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Now { here: Instant::now(), everywhere: UNIX_EPOCH };
        let (model, mut tokens) = (model("p", "k"), tokens());
        for n in 0..MOST as u64 + 10 {
            let now = later(start, n);
            let text = sign(&model, "a", now).unwrap();
            assert!(tokens.user(&model, &text, Now { here: start.here, ..now }).is_some());
        }
        assert_eq!(tokens.ends.len(), MOST);
    }
}
