//! A cluster's certificates: one authority, the identities it signs, the key of service account tokens, and kubeconfigs.
//!
//! Everything is kept in one folder under the names that `kubeadm` gives it (`ca.crt`, `ca.key`, `sa.key`, `apiserver.crt`, …), so that
//! separate processes find the same identities. What is missing, or about to expire, is made anew; the authority never is. Keys
//! are ECDSA P-256, readable by their owner alone, and written whole or not at all.
//!
//! ```
//! use kube_api::pki::{Pki, Subject};
//!
//! # fn main() -> Result<(), kube_api::pki::PkiError> {
//! # let dir = tempfile::tempdir().unwrap();
//! let pki = Pki::open(dir.path(), "2026-01-01T00:00:00Z".parse().unwrap())?;
//! let admin = pki.client("admin", &Subject::new("kubernetes-admin").organization("system:masters"))?;
//! let kubeconfig = kube_api::pki::kubeconfig("https://127.0.0.1:6443", pki.ca_pem(), &admin, "kubernetes-admin");
//! assert!(kubeconfig.contains("https://127.0.0.1:6443"));
//! # Ok(())
//! # }
//! ```

mod authority;
mod files;
mod kubeconfig;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use authority::Authority;
pub use authority::{Identity, Subject};
pub use kubeconfig::kubeconfig;

/// Why an identity could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what its name says; remove it to have it made anew.
    #[error("{path} is not {wanted}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// A certificate could not be made from these names.
    #[error("can't sign a certificate for {name:?}")]
    Sign {
        /// The common name.
        name: String,
        /// What the library said.
        source: rcgen::Error,
    },
}

/// The identities of one cluster, in a folder.
#[derive(Debug)]
pub struct Pki {
    dir: PathBuf,
    authority: Authority,
    service_account_key: String,
    now: Timestamp,
}

impl Pki {
    /// Opens the folder `dir`, making it with a new authority if it is empty. `now` decides what has expired.
    ///
    /// # Errors
    /// [`PkiError`], naming the file.
    pub fn open(dir: impl Into<PathBuf>, now: Timestamp) -> Result<Self, PkiError> {
        let dir = dir.into();
        files::make_dir(&dir)?;
        let authority = match files::read_pair(&dir, "ca")? {
            Some(pair) => Authority::load(&dir.join("ca.crt"), pair)?,
            None => {
                let authority = Authority::generate("kubernetes", now)?;
                files::write_pair(&dir, "ca", authority.identity())?;
                authority
            }
        };
        let service_account_key = match files::read(&dir.join("sa.key"))? {
            Some(key) => key,
            None => {
                let key = authority::generate_key("service-accounts")?;
                files::write_secret(&dir.join("sa.key"), &key)?;
                key
            }
        };
        Ok(Self { dir, authority, service_account_key, now })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The authority's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.authority.identity().cert_pem
    }

    /// The private key that signs service account tokens: P-256, PKCS#8, PEM.
    pub fn service_account_key(&self) -> &str {
        &self.service_account_key
    }

    /// The client identity kept as `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// [`PkiError`], naming the file or the subject.
    pub fn client(&self, name: &str, subject: &Subject) -> Result<Identity, PkiError> {
        self.identity(name, subject)
    }

    /// The serving identity kept as `NAME.crt` and `NAME.key`, valid for these DNS names and addresses.
    ///
    /// # Errors
    /// [`PkiError`], naming the file or the subject.
    pub fn server(
        &self,
        name: &str,
        common_name: &str,
        dns: &[&str],
        ips: &[IpAddr],
    ) -> Result<Identity, PkiError> {
        self.identity(name, &Subject::new(common_name).serving(dns, ips))
    }

    fn identity(&self, name: &str, subject: &Subject) -> Result<Identity, PkiError> {
        if let Some(identity) = files::read_pair(&self.dir, name)?
            && self.authority.vouches_for(&identity, subject, self.now)
        {
            return Ok(identity);
        }
        let identity = self.authority.sign(subject, self.now)?;
        files::write_pair(&self.dir, name, &identity)?;
        Ok(identity)
    }
}

#[cfg(test)]
mod tests;
