//! Comparing content with its digest.

use sha2::{Digest, Sha256, Sha512};

/// Hashes content that should have a certain digest.
pub(super) struct Hasher {
    expected: String,
    state: State,
}

enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// For content with this digest (`sha256:…` or `sha512:…`); `None` when it is none that this client can check.
    pub(super) fn expecting(digest: &str) -> Option<Self> {
        let (algorithm, hex) = digest.split_once(':')?;
        let (state, length) = match algorithm {
            "sha256" => (State::Sha256(Sha256::new()), 64),
            "sha512" => (State::Sha512(Sha512::new()), 128),
            _ => return None,
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == length && hex.bytes().all(is_hex)).then(|| Self { expected: digest.to_owned(), state })
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Whether what was taken is the content that was expected.
    pub(super) fn matches(self) -> bool {
        let found = match self.state {
            State::Sha256(hash) => text("sha256:", &hash.finalize()),
            State::Sha512(hash) => text("sha512:", &hash.finalize()),
        };
        found == self.expected
    }
}

fn text(algorithm: &str, hash: &[u8]) -> String {
    hash.iter().fold(algorithm.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_compared_in_both_algorithms() {
        // The digests of nothing, from FIPS 180's test vectors.
        let empty256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let empty512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        for digest in [empty256, empty512] {
            assert!(Hasher::expecting(digest).unwrap().matches(), "{digest}");
            let mut other = Hasher::expecting(digest).unwrap();
            other.update(b"x");
            assert!(!other.matches(), "{digest}");
        }
        for bad in ["", "sha256", "sha256:", "md5:00", &empty256.to_uppercase(), &empty512[..100]] {
            assert!(Hasher::expecting(bad).is_none(), "{bad}");
        }
    }
}
