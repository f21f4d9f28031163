//! Service account tokens: JSON Web Tokens signed with ES256, with the claims Kubernetes binds them by.
//!
//! This module signs and verifies; whether the pod, node or account that a token is bound to still exists is for the
//! caller to ask. Only `ES256` with this signer's own key is ever accepted: a token's header chooses neither algorithm
//! nor key.

mod claims;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use claims::{Audiences, Bound, Claims, Kubernetes};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Why a token is refused, or could not be made. What it says is for a log, not for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The signing key is not a P-256 key in PKCS#8 PEM.
    #[error("the service account key is not a P-256 private key")]
    Key,
    /// The token is not three base64url parts with JSON claims.
    #[error("the token is malformed")]
    Malformed,
    /// The header names another algorithm or key than this signer's.
    #[error("the token was not made by this signer")]
    Foreign,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// The token was issued by somebody else.
    #[error("the token's issuer is wrong")]
    Issuer,
    /// The token is used before or after its time.
    #[error("the token is not valid at this time")]
    Time,
    /// Signing failed.
    #[error("the token could not be signed")]
    Sign,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// Signs tokens and verifies those it signed.
pub struct Signer {
    key: EcdsaKeyPair,
    kid: String,
    issuer: String,
    random: SystemRandom,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer with the P-256 private key in `pem` (PKCS#8), issuing in the name of `issuer` (a URL).
    ///
    /// # Errors
    /// [`TokenError::Key`].
    pub fn from_pem(pem: &str, issuer: impl Into<String>) -> Result<Self, TokenError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| TokenError::Key)?;
        let random = SystemRandom::new();
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &random)
            .map_err(|_| TokenError::Key)?;
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key()));
        Ok(Self { key, kid, issuer: issuer.into(), random })
    }

    /// The issuer that its tokens name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public key as a JSON Web Key Set, for `/openid/v1/jwks`.
    pub fn jwks(&self) -> serde_json::Value {
        // An uncompressed point: one byte of form, then both coordinates.
        let point = self.key.public_key().as_ref();
        let coordinate =
            |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
        serde_json::json!({"keys": [{"use": "sig", "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.kid,
            "x": coordinate(1..33), "y": coordinate(33..65)}]})
    }

    /// Signs `claims` in this issuer's name.
    ///
    /// # Errors
    /// [`TokenError::Sign`] if the system has no randomness.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let header = Header { alg: "ES256".into(), kid: self.kid.clone() };
        let mut token = format!("{}.{}", part(&header)?, part(&claims.issued_by(&self.issuer))?);
        let signature = self.key.sign(&self.random, token.as_bytes()).map_err(|_| TokenError::Sign)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The claims of a token that this signer signed and that is valid at `now` (seconds since 1970). The audience is the
    /// caller's to check.
    ///
    /// # Errors
    /// Every other token is refused, with the reason.
    pub fn verify(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header: Header = parse(header)?;
        if header.alg != "ES256" || header.kid != self.kid {
            return Err(TokenError::Foreign);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, self.key.public_key())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        let claims: Claims = parse(claims)?;
        match claims {
            claims if claims.iss != self.issuer => Err(TokenError::Issuer),
            claims if now >= claims.exp || now < claims.nbf => Err(TokenError::Time),
            claims => Ok(claims),
        }
    }
}

fn part(value: &impl Serialize) -> Result<String, TokenError> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| TokenError::Sign)
}

fn parse<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
