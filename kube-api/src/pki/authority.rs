use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::PkiError;

/// How long an identity is valid, and how long before its end it is made anew. The authority is valid ten times as long.
const VALID_DAYS: i64 = 365;
const RENEW_DAYS: i64 = 30;

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub cert_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

/// Whom a certificate is for. Kubernetes reads the common name as the user and the organization as the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    common_name: String,
    organization: Option<String>,
    dns: BTreeSet<String>,
    ips: BTreeSet<IpAddr>,
}

impl Subject {
    /// A subject of this common name, for a client certificate.
    pub fn new(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            organization: None,
            dns: BTreeSet::new(),
            ips: BTreeSet::new(),
        }
    }

    /// Adds the group.
    #[must_use]
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.organization = Some(organization.into());
        self
    }

    /// Makes it a serving certificate for these names and addresses.
    #[must_use]
    pub fn serving(mut self, dns: &[&str], ips: &[IpAddr]) -> Self {
        self.dns = dns.iter().map(ToString::to_string).collect();
        self.ips = ips.iter().copied().collect();
        self
    }

    fn is_server(&self) -> bool {
        !self.dns.is_empty() || !self.ips.is_empty()
    }
}

/// The cluster's certificate authority.
pub(super) struct Authority {
    identity: Identity,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.identity).finish()
    }
}

impl Authority {
    pub(super) fn generate(name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Sign { name: name.into(), source };
        let mut params = params(&Subject::new(name), now, VALID_DAYS * 10).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.self_signed(&key).map_err(failed)?;
        let identity = Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() };
        Ok(Self { identity, issuer: Issuer::new(params, key) })
    }

    pub(super) fn load(path: &Path, identity: Identity) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(&identity.key_pem);
        let issuer = key.and_then(|key| Issuer::from_ca_cert_pem(&identity.cert_pem, key));
        let malformed = |_| PkiError::Malformed { path: path.into(), wanted: "a certificate authority" };
        Ok(Self { issuer: issuer.map_err(malformed)?, identity })
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn sign(&self, subject: &Subject, now: Timestamp) -> Result<Identity, PkiError> {
        let failed = |source| PkiError::Sign { name: subject.common_name.clone(), source };
        let mut params = params(subject, now, VALID_DAYS).map_err(failed)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![match subject.is_server() {
            true => ExtendedKeyUsagePurpose::ServerAuth,
            false => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }

    /// Whether this authority signed `identity` for exactly this subject and it stays valid for a while.
    pub(super) fn vouches_for(&self, identity: &Identity, subject: &Subject, now: Timestamp) -> bool {
        let parsed = parse_pem(&self.identity.cert_pem).zip(parse_pem(&identity.cert_pem));
        let Some((ca, leaf)) = parsed else { return false };
        let (Ok((_, ca)), Ok((_, leaf))) = (X509Certificate::from_der(&ca), X509Certificate::from_der(&leaf))
        else {
            return false;
        };
        leaf.verify_signature(Some(ca.public_key())).is_ok()
            && leaf.validity().not_after.timestamp() > now.as_second() + RENEW_DAYS * 86_400
            && describes(&leaf, subject)
    }
}

/// A new private key, PKCS#8 in PEM; `name` is for the error.
pub(super) fn generate_key(name: &str) -> Result<String, PkiError> {
    let key = KeyPair::generate().map_err(|source| PkiError::Sign { name: name.into(), source })?;
    Ok(key.serialize_pem())
}

fn params(subject: &Subject, now: Timestamp, days: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(subject.dns.iter().cloned().collect::<Vec<_>>())?;
    params.subject_alt_names.extend(subject.ips.iter().copied().map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, subject.common_name.clone());
    if let Some(organization) = &subject.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization.clone());
    }
    // A day early, so that a clock that runs behind does not refuse it.
    params.not_before = midnight(now, -1);
    params.not_after = midnight(now, days);
    Ok(params)
}

fn midnight(now: Timestamp, days: i64) -> time::OffsetDateTime {
    let date = now.to_zoned(TimeZone::UTC).date().saturating_add(days.days());
    rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

fn parse_pem(pem: &str) -> Option<Vec<u8>> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem.contents)
}

fn describes(leaf: &X509Certificate<'_>, subject: &Subject) -> bool {
    let name = |mut names: Box<dyn Iterator<Item = _> + '_>| {
        names
            .next()
            .and_then(|n: &x509_parser::x509::AttributeTypeAndValue<'_>| n.as_str().ok().map(str::to_owned))
    };
    let common_name = name(Box::new(leaf.subject().iter_common_name()));
    let organization = name(Box::new(leaf.subject().iter_organization()));
    let (mut dns, mut ips) = (BTreeSet::new(), BTreeSet::new());
    for general in
        leaf.subject_alternative_name().ok().flatten().iter().flat_map(|ext| &ext.value.general_names)
    {
        match general {
            GeneralName::DNSName(name) => _ = dns.insert((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from).ok();
                ips.extend(v4.or_else(|| <[u8; 16]>::try_from(*bytes).map(IpAddr::from).ok()));
            }
            _ => {}
        }
    }
    common_name.as_ref() == Some(&subject.common_name)
        && organization == subject.organization
        && dns == subject.dns
        && ips == subject.ips
}
