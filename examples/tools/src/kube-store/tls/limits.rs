//! Which versions and cipher suites of TLS are spoken.

use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedProtocolVersion};

/// Which versions and cipher suites of TLS are spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    least: Option<ProtocolVersion>,
    most: Option<ProtocolVersion>,
    /// Suites of TLS 1.2; empty for all. Those of TLS 1.3 are not chosen, as in etcd.
    suites: Vec<String>,
}

/// Suites that Go knows and that nobody should use: they are not spoken here.
const UNSPOKEN: [&str; 2] = ["_CBC_", "TLS_RSA_"];

impl Limits {
    /// Sets the oldest version by its name.
    pub(crate) fn set_least(&mut self, name: &str) -> Result<(), String> {
        self.least = version(name)?;
        Ok(())
    }

    /// Sets the newest version by its name.
    pub(crate) fn set_most(&mut self, name: &str) -> Result<(), String> {
        self.most = version(name)?;
        Ok(())
    }

    /// Sets the suites by Go's names.
    pub(crate) fn set_suites(&mut self, names: &[String]) -> Result<(), String> {
        let known = rustls::crypto::ring::default_provider();
        let names: Vec<String> = names.iter().map(|name| standard(name)).collect();
        for name in &names {
            let is_unspoken = UNSPOKEN.iter().any(|part| name.contains(part));
            if !is_unspoken && !known.cipher_suites.iter().any(|suite| go_name(suite) == *name) {
                return Err(format!("unexpected TLS cipher suite {name:?}"));
            }
        }
        self.suites = names;
        Ok(())
    }

    /// Refuses what does not fit together, in etcd's words.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let (Some(least), Some(most)) = (self.least, self.most)
            && u16::from(least) > u16::from(most)
        {
            let (least, most) = (name_of(least), name_of(most));
            return Err(format!("min version ({least}) is greater than max version ({most})"));
        }
        if self.least == Some(ProtocolVersion::TLSv1_3) && !self.suites.is_empty() {
            return Err("cipher suites cannot be configured when only TLS1.3 is enabled".into());
        }
        Ok(())
    }

    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let within = |version: &&SupportedProtocolVersion| {
            let version = u16::from(version.version);
            self.least.is_none_or(|least| u16::from(least) <= version)
                && self.most.is_none_or(|most| version <= u16::from(most))
        };
        [&TLS13, &TLS12].into_iter().filter(within).collect()
    }

    pub(super) fn provider(&self) -> CryptoProvider {
        let mut provider = rustls::crypto::ring::default_provider();
        if !self.suites.is_empty() {
            let is_chosen = |suite: &rustls::SupportedCipherSuite| {
                suite.tls13().is_some() || self.suites.contains(&go_name(suite))
            };
            provider.cipher_suites.retain(is_chosen);
        }
        provider
    }
}

/// What Go calls a suite: as the standard, and shorter where that is not needed to tell it apart.
fn go_name(suite: &rustls::SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replace("TLS13_", "TLS_")
}

/// The standard's name of a suite. Go has an older one for two, which says nothing of the hash.
fn standard(name: &str) -> String {
    let old = name.starts_with("TLS_ECDHE_") && name.ends_with("_CHACHA20_POLY1305");
    if old { format!("{name}_SHA256") } else { name.to_owned() }
}

fn name_of(version: ProtocolVersion) -> &'static str {
    if version == ProtocolVersion::TLSv1_3 { "TLS1.3" } else { "TLS1.2" }
}

fn version(name: &str) -> Result<Option<ProtocolVersion>, String> {
    match name {
        "" => Ok(None),
        "TLS1.2" => Ok(Some(ProtocolVersion::TLSv1_2)),
        "TLS1.3" => Ok(Some(ProtocolVersion::TLSv1_3)),
        _ => Err(format!("unexpected TLS version {name:?} (must be one of: TLS1.2, TLS1.3)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(limits: &Limits) -> Vec<String> {
        limits.provider().cipher_suites.iter().map(go_name).collect()
    }

    #[test]
    fn versions_and_suites_are_those_that_were_named() {
        let mut limits = Limits::default();
        assert_eq!(limits.versions().len(), 2);
        limits.set_least("TLS1.3").unwrap();
        assert_eq!(limits.versions(), [&TLS13]);
        limits.set_least("TLS1.2").unwrap();
        limits.set_most("TLS1.2").unwrap();
        assert_eq!(limits.versions(), [&TLS12]);
        let suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned();
        limits.set_suites(std::slice::from_ref(&suite)).unwrap();
        let spoken = names(&limits);
        assert!(spoken.contains(&suite) && spoken.len() < names(&Limits::default()).len(), "{spoken:?}");
        limits.set_suites(&["TLS_RSA_WITH_AES_128_CBC_SHA".into()]).unwrap();
        assert!(names(&limits).iter().all(|name| !name.contains("_WITH_")), "nothing is left of TLS 1.2");
        limits.set_suites(&["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305".into()]).unwrap();
        assert!(names(&limits).contains(&"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256".to_owned()));
        assert!(limits.set_suites(&["abc".into()]).is_err());
        assert!(limits.set_least("TLS1.1").is_err());
    }
}
