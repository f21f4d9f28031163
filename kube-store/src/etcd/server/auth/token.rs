//! Simple tokens, as etcd's: random text that stands for a user until it was not used for a while.

use std::collections::HashMap;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

/// How long one lives after its last use, as etcd's.
const TTL: Duration = Duration::from_secs(300);

/// Most tokens at once; beyond it the one that would end first does.
const MOST: usize = 10_000;

/// All tokens given out.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    by_text: HashMap<String, Token>,
}

#[derive(Debug)]
struct Token {
    user: String,
    ends: Instant,
}

impl Tokens {
    /// A new token of a user; `None` when the system has no randomness.
    pub(super) fn assign(&mut self, user: &str, now: Instant) -> Option<String> {
        let mut random = [0u8; 16];
        SystemRandom::new().fill(&mut random).ok()?;
        self.by_text.retain(|_, token| token.ends > now);
        if self.by_text.len() >= MOST {
            let first = self.by_text.iter().min_by_key(|(_, token)| token.ends).map(|(text, _)| text.clone());
            first.and_then(|text| self.by_text.remove(&text));
        }
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        self.by_text.insert(text.clone(), Token { user: user.to_owned(), ends: now + TTL });
        Some(text)
    }

    /// Whose token it is, which keeps it alive.
    pub(super) fn user(&mut self, text: &str, now: Instant) -> Option<String> {
        let token = self.by_text.get_mut(text).filter(|token| token.ends > now)?;
        token.ends = now + TTL;
        Some(token.user.clone())
    }

    /// Ends all tokens of a user.
    pub(super) fn forget(&mut self, user: &str) {
        self.by_text.retain(|_, token| token.user != user);
    }

    /// Ends all tokens.
    pub(super) fn clear(&mut self) {
        self.by_text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_when_it_is_not_used() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        let text = tokens.assign("a", start).unwrap();
        let later = start + TTL - Duration::from_secs(1);
        assert_eq!(tokens.user(&text, later).as_deref(), Some("a"));
        assert_eq!(tokens.user(&text, later + TTL - Duration::from_secs(1)).as_deref(), Some("a"));
        assert_eq!(tokens.user(&text, later + TTL * 3), None);
        assert_eq!(tokens.user("", start), None);
    }

    #[test]
    fn their_number_is_bounded() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        let first = tokens.assign("a", start).unwrap();
        for n in 0..MOST as u64 {
            tokens.assign("b", start + Duration::from_millis(n + 1)).unwrap();
        }
        assert_eq!(tokens.by_text.len(), MOST);
        assert_eq!(tokens.user(&first, start), None);
        tokens.forget("b");
        assert!(tokens.by_text.is_empty());
    }
}
