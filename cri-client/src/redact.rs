use std::fmt;

use crate::v1::AuthConfig;

/// Credentials never reach a log: the generated `Debug` would print them.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_printed() {
        let auth = AuthConfig {
            username: "me".into(),
            password: "s3cret".into(),
            auth: "s3cret".into(),
            identity_token: "s3cret".into(),
            registry_token: "s3cret".into(),
            ..AuthConfig::default()
        };
        let printed = format!("{auth:?}");
        assert!(printed.contains("me") && !printed.contains("s3cret"), "{printed}");
    }
}
