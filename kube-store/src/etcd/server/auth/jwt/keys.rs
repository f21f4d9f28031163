//! Ways of signing, and the keys for them.

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::TokenKeyError;

/// What signs and what verifies.
pub(super) struct Keys {
    verifier: Verifier,
    /// `None` where tokens are only looked at, or where the verifier's secret signs too.
    signer: Option<Signer>,
}

enum Verifier {
    Secret(hmac::Key),
    Public(&'static dyn VerificationAlgorithm, Vec<u8>),
}

enum Signer {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A way of signing.
#[derive(Clone, Copy)]
enum Method {
    Secret(hmac::Algorithm),
    Rsa(&'static dyn RsaEncoding, &'static dyn VerificationAlgorithm),
    Ecdsa(&'static Curve, &'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm),
    Ed25519,
}

/// An elliptic curve.
struct Curve {
    /// Its name, encoded in DER.
    id: &'static [u8],
    /// Bytes of a point.
    point: usize,
}

const P256: &Curve = &Curve { id: &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], point: 65 };
const P384: &Curve = &Curve { id: &[6, 5, 0x2b, 0x81, 4, 0, 0x22], point: 97 };
/// That a key is for elliptic curves, encoded in DER.
const EC_KEY: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// The names of RFC 7518 and RFC 8037, but for ES512, whose curve is not known to ring.
fn method(name: &str) -> Option<Method> {
    use signature::*;
    Some(match name {
        "HS256" => Method::Secret(hmac::HMAC_SHA256),
        "HS384" => Method::Secret(hmac::HMAC_SHA384),
        "HS512" => Method::Secret(hmac::HMAC_SHA512),
        "RS256" => Method::Rsa(&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Method::Rsa(&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Method::Rsa(&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Method::Rsa(&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256),
        "PS384" => Method::Rsa(&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384),
        "PS512" => Method::Rsa(&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512),
        "ES256" => Method::Ecdsa(P256, &ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED),
        "ES384" => Method::Ecdsa(P384, &ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED),
        "EdDSA" => Method::Ed25519,
        _ => return None,
    })
}

impl Keys {
    pub(super) fn new(
        name: &str,
        private: Option<&[u8]>,
        public: Option<&[u8]>,
    ) -> Result<Self, TokenKeyError> {
        let method = method(name).ok_or_else(|| TokenKeyError::Method(name.to_owned()))?;
        // An empty file is as none, as in etcd.
        let [private, public] = [private, public].map(|key| key.filter(|key| !key.is_empty()));
        if let Method::Secret(algorithm) = method {
            let secret = private.ok_or(TokenKeyError::Missing)?;
            return Ok(Self { verifier: Verifier::Secret(hmac::Key::new(algorithm, secret)), signer: None });
        }
        let refused = || TokenKeyError::Private(name.to_owned());
        let signer = private.map(|pem| Signer::new(method, pem).ok_or_else(refused)).transpose()?;
        let refused = || TokenKeyError::Public(name.to_owned());
        let given = public.map(|pem| public_key(method, pem).ok_or_else(refused)).transpose()?;
        let own = signer.as_ref().map(Signer::public_key);
        if own.as_ref().zip(given.as_ref()).is_some_and(|(own, given)| own != given) {
            return Err(TokenKeyError::Mismatch);
        }
        let algorithm: &dyn VerificationAlgorithm = match method {
            Method::Rsa(_, algorithm) | Method::Ecdsa(_, _, algorithm) => algorithm,
            Method::Ed25519 | Method::Secret(_) => &signature::ED25519,
        };
        let key = own.or(given).ok_or(TokenKeyError::Missing)?;
        Ok(Self { verifier: Verifier::Public(algorithm, key), signer })
    }

    /// The signature of a text; `None` without a key for that.
    pub(super) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match (&self.verifier, &self.signer) {
            (Verifier::Secret(key), _) => Some(hmac::sign(key, text).as_ref().to_vec()),
            (Verifier::Public(..), signer) => signer.as_ref()?.sign(text),
        }
    }

    /// Whether this is the signature of a text.
    pub(super) fn verify(&self, text: &[u8], tag: &[u8]) -> bool {
        match &self.verifier {
            Verifier::Secret(key) => hmac::verify(key, text, tag).is_ok(),
            Verifier::Public(algorithm, key) => {
                UnparsedPublicKey::new(*algorithm, key).verify(text, tag).is_ok()
            }
        }
    }
}

impl Signer {
    fn new(method: Method, pem: &[u8]) -> Option<Self> {
        let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
        let curve_key =
            |algorithm, der: &[u8]| EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new());
        Some(match (method, &key) {
            (Method::Rsa(encoding, _), PrivateKeyDer::Pkcs8(key)) => {
                Self::Rsa(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?, encoding)
            }
            (Method::Rsa(encoding, _), PrivateKeyDer::Pkcs1(key)) => {
                Self::Rsa(RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?, encoding)
            }
            (Method::Ecdsa(_, algorithm, _), PrivateKeyDer::Pkcs8(key)) => {
                Self::Ecdsa(curve_key(algorithm, key.secret_pkcs8_der()).ok()?)
            }
            (Method::Ecdsa(curve, algorithm, _), PrivateKeyDer::Sec1(key)) => {
                Self::Ecdsa(curve_key(algorithm, &to_pkcs8(curve, key.secret_sec1_der())?).ok()?)
            }
            (Method::Ed25519, PrivateKeyDer::Pkcs8(key)) => {
                Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).ok()?)
            }
            _ => return None,
        })
    }

    fn public_key(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key, _) => key.public_key().as_ref().to_vec(),
            Self::Ecdsa(key) => key.public_key().as_ref().to_vec(),
            Self::Ed25519(key) => key.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        Some(match self {
            Self::Rsa(key, encoding) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, text, &mut signed).ok()?;
                signed
            }
            Self::Ecdsa(key) => key.sign(&random, text).ok()?.as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(text).as_ref().to_vec(),
        })
    }
}

/// Puts a private key of SEC 1 into the only form that ring reads.
fn to_pkcs8(curve: &Curve, key: &[u8]) -> Option<Vec<u8>> {
    let algorithm = der(0x30, &[EC_KEY, curve.id])?;
    let version: &[u8] = &[2, 1, 0];
    der(0x30, &[version, &algorithm, &der(4, &[key])?])
}

/// A value of DER; `None` if it is longer than that of any key.
fn der(tag: u8, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let head = match (high, low) {
        (0, 0..128) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    Some([head, content].concat())
}

/// The key itself, out of a public key or a certificate, if it is one for this way of signing.
fn public_key(method: Method, pem: &[u8]) -> Option<Vec<u8>> {
    if let Ok(info) = SubjectPublicKeyInfoDer::from_pem_slice(pem) {
        return suited(method, &SubjectPublicKeyInfo::from_der(&info).ok()?.1);
    }
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    suited(method, X509Certificate::from_der(&certificate).ok()?.1.public_key())
}

fn suited(method: Method, info: &SubjectPublicKeyInfo<'_>) -> Option<Vec<u8>> {
    let key = &info.subject_public_key.data;
    let kind = match method {
        Method::Rsa(..) => OID_PKCS1_RSAENCRYPTION,
        Method::Ecdsa(curve, ..) if key.len() == curve.point => OID_KEY_TYPE_EC_PUBLIC_KEY,
        Method::Ed25519 => OID_SIG_ED25519,
        Method::Ecdsa(..) | Method::Secret(_) => return None,
    };
    (info.algorithm.algorithm == kind).then(|| key.to_vec())
}
