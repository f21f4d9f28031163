//! Authorities that are shown as somebody's own certificate.
//!
//! Who makes one certificate, has it sign itself and gives it as the authority too gets one that may sign others, unless told
//! otherwise. Go takes that as anybody's own; webpki never does, whoever vouches for it. So such a certificate, if it is one of
//! the authorities byte by byte, is looked at here. One that may sign others and is not an authority itself stays refused.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::{CertificateError, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

/// The authorities, and the numbers of those that are revoked.
#[derive(Debug, Default)]
pub(super) struct Rooted {
    authorities: Vec<CertificateDer<'static>>,
    revoked: Vec<Vec<u8>>,
}

/// At which end of a connection a certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

impl Rooted {
    /// Knows these authorities, but for those whose numbers the lists have.
    pub(super) fn new(
        authorities: Vec<CertificateDer<'static>>,
        revoked: &[CertificateRevocationListDer<'static>],
    ) -> Result<Self, Error> {
        let mut numbers = Vec::new();
        for list in revoked {
            let (_, list) =
                CertificateRevocationList::from_der(list).map_err(|_| CertificateError::BadEncoding)?;
            numbers.extend(list.iter_revoked_certificates().map(|one| one.raw_serial().to_vec()));
        }
        Ok(Self { authorities, revoked: numbers })
    }

    /// Whether a certificate is good now; `None` for one that is no authority, of which nothing is known here.
    pub(super) fn check(
        &self,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
        shown: End,
    ) -> Option<Result<(), CertificateError>> {
        if !self.authorities.contains(certificate) {
            return None;
        }
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        parsed.is_ca().then(|| self.judge(&parsed, now, shown))
    }

    fn judge(
        &self,
        certificate: &X509Certificate<'_>,
        now: UnixTime,
        shown: End,
    ) -> Result<(), CertificateError> {
        let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
        let now = now.ok_or(CertificateError::BadEncoding)?;
        if now < certificate.validity().not_before {
            return Err(CertificateError::NotValidYet);
        }
        if now > certificate.validity().not_after {
            return Err(CertificateError::Expired);
        }
        if self.revoked.iter().any(|number| number == certificate.raw_serial()) {
            return Err(CertificateError::Revoked);
        }
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::ExtendedKeyUsage(usage) if !fits(usage, shown) => {
                    return Err(CertificateError::InvalidPurpose);
                }
                ParsedExtension::UnsupportedExtension { .. } | ParsedExtension::ParseError { .. }
                    if extension.critical =>
                {
                    return Err(CertificateError::UnhandledCriticalExtension);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn fits(usage: &ExtendedKeyUsage<'_>, shown: End) -> bool {
    let end = match shown {
        End::Client => usage.client_auth,
        End::Server => usage.server_auth,
    };
    usage.any || end
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
        Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2003, 1, 1);
        params.serial_number = Some(SerialNumber::from(vec![7, 1]));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn signed(params: &CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
    }

    /// At the beginning of a year, as the client's.
    fn check(
        rooted: &Rooted,
        certificate: &CertificateDer<'_>,
        year: u64,
    ) -> Option<Result<(), CertificateError>> {
        let now = Duration::from_secs((year - 1970) * 31_557_600);
        rooted.check(certificate, UnixTime::since_unix_epoch(now), End::Client)
    }

    #[test]
    fn an_authority_is_good_while_it_is_valid() {
        let own = signed(&params());
        let rooted = Rooted::new(vec![own.clone()], &[]).unwrap();
        assert_eq!(check(&rooted, &own, 2002), Some(Ok(())));
        assert_eq!(check(&rooted, &own, 2000), Some(Err(CertificateError::NotValidYet)));
        assert_eq!(check(&rooted, &own, 2004), Some(Err(CertificateError::Expired)));
    }

    #[test]
    fn whoever_is_no_authority_is_judged_by_others() {
        let (own, other) = (signed(&params()), signed(&params()));
        let mut params = params();
        params.is_ca = IsCa::ExplicitNoCa;
        let leaf = signed(&params);
        let rooted = Rooted::new(vec![own.clone(), leaf.clone()], &[]).unwrap();
        assert_eq!(check(&rooted, &other, 2002), None, "it has the same name, and another key");
        assert_eq!(check(&rooted, &leaf, 2002), None, "it may not sign others");
        let truncated = CertificateDer::from(own[..own.len() - 1].to_vec());
        assert_eq!(check(&rooted, &truncated, 2002), None);
    }

    #[test]
    fn its_purpose_has_to_fit() {
        let own = |purpose| {
            let mut params = params();
            params.extended_key_usages = vec![purpose];
            let own = signed(&params);
            check(&Rooted::new(vec![own.clone()], &[]).unwrap(), &own, 2002).unwrap()
        };
        assert_eq!(own(ExtendedKeyUsagePurpose::ClientAuth), Ok(()));
        assert_eq!(own(ExtendedKeyUsagePurpose::Any), Ok(()));
        assert_eq!(own(ExtendedKeyUsagePurpose::ServerAuth), Err(CertificateError::InvalidPurpose));
    }

    #[test]
    fn a_critical_extension_that_nobody_knows_is_not_overlooked() {
        let mut params = params();
        let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 9999], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions.push(unknown);
        let own = signed(&params);
        let rooted = Rooted::new(vec![own.clone()], &[]).unwrap();
        assert_eq!(check(&rooted, &own, 2002), Some(Err(CertificateError::UnhandledCriticalExtension)));
    }

    #[test]
    fn one_that_is_listed_is_revoked() {
        let key = KeyPair::generate().unwrap();
        let own: CertificateDer<'static> = params().self_signed(&key).unwrap().into();
        let listing = |number: Vec<u8>| {
            let revoked = RevokedCertParams {
                serial_number: SerialNumber::from(number),
                revocation_time: date_time_ymd(2001, 2, 1),
                reason_code: None,
                invalidity_date: None,
            };
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2001, 2, 1),
                next_update: date_time_ymd(2003, 1, 1),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: vec![revoked],
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = list.signed_by(&Issuer::from_params(&params(), &key)).unwrap();
            let rooted = Rooted::new(vec![own.clone()], &[list.into()]).unwrap();
            check(&rooted, &own, 2002)
        };
        assert_eq!(listing(vec![7, 1]), Some(Err(CertificateError::Revoked)));
        assert_eq!(listing(vec![7, 2]), Some(Ok(())));
        assert!(Rooted::new(Vec::new(), &[vec![1].into()]).is_err(), "it is no list");
    }
}
