//! Addresses, ranges of them and URLs.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::super::named::NamedFormat;
use super::super::url::Url;
use super::super::value::Value;
use super::{Answer, Function, length};

/// Makes an address, a range, a URL or a format of a text.
pub(super) fn of_text<'d>(function: Function, text: &str) -> Answer<'d> {
    Ok(Some(match function {
        Function::Ip => Value::Ip(address(text)?),
        Function::IsIp => Value::Bool(address(text).is_ok()),
        Function::IsCanonical => Value::Bool(address(text)?.to_string() == text),
        Function::Cidr => Value::Cidr(range(text).map_err(unreadable)?),
        Function::IsCidr => Value::Bool(range(text).is_ok()),
        Function::Url => {
            let failed = |reason| format!("URL parse error during conversion from string: {reason}");
            Value::Url(Arc::new(Url::parse(text).map_err(failed)?))
        }
        Function::IsUrl => Value::Bool(Url::check(text).is_ok()),
        Function::FormatNamed => {
            Value::Optional(NamedFormat::find(text).map(|format| Arc::new(Value::Format(format))))
        }
        _ => return Ok(None),
    }))
}

fn mapped(text: &str) -> String {
    format!("IPv4-mapped IPv6 address {text:?} is not allowed")
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

fn address(text: &str) -> Result<IpAddr, String> {
    if let Some((plain, zone)) = text.split_once('%')
        && !zone.is_empty()
        && matches!(plain.parse(), Ok(IpAddr::V6(_)))
    {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    match text.parse() {
        Ok(address) if is_mapped(address) => Err(mapped(text)),
        Ok(address) => Ok(address),
        Err(_) => Err(format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        )),
    }
}

/// What upstream says of a range twice, once where it is read and once where it is converted.
fn unreadable(reason: String) -> String {
    format!("network address parse error during conversion from string: {reason}")
}

/// A range, which may begin within what its length covers.
fn range(text: &str) -> Result<IpNet, String> {
    let failed = |reason: String| unreadable(format!("netip.ParsePrefix({text:?}): {reason}"));
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| failed("no '/'".to_owned()))?;
    if address.contains('%') {
        return Err(failed("IPv6 zones cannot be present in a prefix".to_owned()));
    }
    let address: IpAddr =
        address.parse().map_err(|_| failed(format!("ParseAddr({address:?}): unable to parse IP")))?;
    let plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let length: u16 = match bits.parse() {
        Ok(length) if plain => length,
        _ => return Err(failed(format!("bad bits after slash: {bits:?}"))),
    };
    let range = u8::try_from(length).ok().and_then(|length| IpNet::new(address, length).ok());
    let range = range.ok_or_else(|| failed("prefix length out of range".to_owned()))?;
    if is_mapped(address) { Err(mapped(text)) } else { Ok(range) }
}

pub(super) fn of_address<'d>(function: Function, address: IpAddr) -> Option<Value<'d>> {
    let first = match address {
        IpAddr::V4(address) => u16::from_be_bytes([address.octets()[0], address.octets()[1]]),
        IpAddr::V6(address) => address.segments()[0],
    };
    let link_local = match address {
        IpAddr::V4(_) => first == 0xa9fe,
        IpAddr::V6(_) => first & 0xffc0 == 0xfe80,
    };
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let special = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    Some(match function {
        Function::Family => Value::Int(if address.is_ipv4() { 4 } else { 6 }),
        Function::IsUnspecified => Value::Bool(address.is_unspecified()),
        Function::IsLoopback => Value::Bool(address.is_loopback()),
        Function::IsLinkLocalMulticast => Value::Bool(match address {
            IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
            IpAddr::V6(_) => first & 0xff0f == 0xff02,
        }),
        Function::IsLinkLocalUnicast => Value::Bool(link_local),
        Function::IsGlobalUnicast => Value::Bool(!special && !link_local && !broadcast),
        Function::Size | Function::SizeOf => Value::Int(if address.is_ipv4() { 4 } else { 16 }),
        _ => return None,
    })
}

pub(super) fn of_range<'d>(function: Function, whole: IpNet, rest: &[Value<'d>]) -> Answer<'d> {
    Ok(Some(match (function, rest) {
        (Function::ContainsIp, [Value::Ip(inner)]) => Value::Bool(whole.contains(inner)),
        (Function::ContainsIp, [Value::Text(inner)]) => Value::Bool(whole.contains(&address(inner)?)),
        (Function::ContainsCidr, [Value::Cidr(inner)]) => Value::Bool(whole.contains(inner)),
        (Function::ContainsCidr, [Value::Text(inner)]) => {
            Value::Bool(whole.contains(&range(inner).map_err(unreadable)?))
        }
        (Function::AddressOf, []) => Value::Ip(whole.addr()),
        (Function::Masked, []) => Value::Cidr(whole.trunc()),
        (Function::PrefixLength, []) => Value::Int(i64::from(whole.prefix_len())),
        (Function::Size | Function::SizeOf, []) => {
            Value::Int(length(usize::from(whole.prefix_len()).div_ceil(8)))
        }
        _ => return Ok(None),
    }))
}

pub(super) fn of_url<'d>(function: Function, url: &Url) -> Option<Value<'d>> {
    Some(match function {
        Function::GetScheme => Value::text(url.scheme.as_str()),
        Function::GetHost => Value::text(url.host.as_str()),
        Function::GetHostname => Value::text(url.hostname()),
        Function::GetPort => Value::text(url.port()),
        Function::GetEscapedPath => Value::text(url.path.as_str()),
        Function::GetQuery => {
            let entry = |(key, values): (String, Vec<String>)| {
                (Value::text(key), Value::list(values.into_iter().map(Value::text).collect()))
            };
            Value::Map(Arc::new(url.query().into_iter().map(entry).collect()))
        }
        _ => return None,
    })
}
