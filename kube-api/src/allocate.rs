//! Addresses and ports of services.
//!
//! What is taken is kept in memory and rebuilt from the stored services at start; taking is atomic within one server.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::field::FieldError;
use crate::object::text;
use crate::registry::Subject;

/// Hands out service addresses and node ports.
#[derive(Debug)]
pub(crate) struct Allocator {
    cidr: IpNet,
    ports: std::ops::RangeInclusive<u16>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<(String, u16)>,
    /// Where the search for a free address goes on.
    next: u128,
}

/// What a write took; given back when the write does not happen.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    allocator: &'a Allocator,
    addresses: Vec<IpAddr>,
    ports: Vec<(String, u16)>,
}

impl Claim<'_> {
    /// The write happened.
    pub(crate) fn keep(mut self) {
        self.addresses.clear();
        self.ports.clear();
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut taken = self.allocator.taken.lock();
        for address in &self.addresses {
            taken.addresses.remove(address);
        }
        for port in &self.ports {
            taken.ports.remove(port);
        }
    }
}

impl Allocator {
    pub(crate) fn new(config: &Config) -> Self {
        Self { cidr: config.service_cidr, ports: config.node_ports.clone(), taken: Mutex::default() }
    }

    /// The first address of the range.
    pub(crate) fn first(&self) -> Option<IpAddr> {
        self.cidr.hosts().next()
    }

    /// Marks what stored services have.
    pub(crate) fn restore(&self, service: &Value) {
        let mut taken = self.taken.lock();
        taken.addresses.extend(addresses(service));
        taken.ports.extend(node_ports(service));
    }

    /// Gives a service what it needs and does not have.
    pub(crate) fn allocate(
        &self,
        subject: &Subject,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Claim<'_>> {
        let mut claim = Claim { allocator: self, addresses: Vec::new(), ports: Vec::new() };
        if subject.kind.kind != "Service" || !subject.kind.group.is_empty() {
            return Ok(claim);
        }
        let result =
            self.address(&mut claim, object, old).and_then(|()| self.node_ports(&mut claim, object, old));
        match result {
            Ok(()) => Ok(claim),
            Err(error) => Err(Error::Invalid {
                kind: "Service".to_owned(),
                group: String::new(),
                name: subject.name.clone(),
                errors: vec![error],
            }),
        }
    }

    fn address(
        &self,
        claim: &mut Claim<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), FieldError> {
        let kept = old.map_or("", |o| text(o, "/spec/clusterIP")).to_owned();
        if text(object, "/spec/type") == "ExternalName" {
            return Ok(());
        }
        let wanted = match text(object, "/spec/clusterIP") {
            "" => kept.clone(),
            given => given.to_owned(),
        };
        if wanted == "None" {
            set_address(object, "None");
            return Ok(());
        }
        if !wanted.is_empty() && wanted == kept {
            set_address(object, &wanted);
            return Ok(());
        }
        let mut taken = self.taken.lock();
        let address =
            if wanted.is_empty() { self.free_address(&mut taken) } else { self.given(&taken, &wanted) }?;
        taken.addresses.insert(address);
        claim.addresses.push(address);
        set_address(object, &address.to_string());
        Ok(())
    }

    fn given(&self, taken: &Taken, wanted: &str) -> Result<IpAddr, FieldError> {
        let path = "spec.clusterIPs[0]";
        let address: IpAddr = wanted.parse().map_err(|_| {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            FieldError::invalid(path, wanted, detail)
        })?;
        let failed = |why: &str| {
            FieldError::invalid(path, json!([wanted]), format!("failed to allocate IP {wanted}: {why}"))
        };
        if !self.cidr.contains(&address) {
            return Err(failed(&format!(
                "the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {}",
                self.cidr
            )));
        }
        if taken.addresses.contains(&address) {
            return Err(failed("provided IP is already allocated"));
        }
        Ok(address)
    }

    /// The next free address. The lower part of the range is left to those who choose for themselves, as upstream does.
    fn free_address(&self, taken: &mut Taken) -> Result<IpAddr, FieldError> {
        let bits = u32::from(self.cidr.max_prefix_len() - self.cidr.prefix_len()).min(32);
        let size = 1_u128 << bits;
        let reserved = (size / 16).clamp(16, 256).min(size / 2);
        let base = bits_of(self.cidr.network());
        for step in 0..size {
            let offset = reserved + (taken.next + step) % size.saturating_sub(reserved).max(1);
            let last = offset + 1 >= size;
            let address = self.address_at(base + offset);
            if offset > 0 && !last && !taken.addresses.contains(&address) {
                taken.next = offset + 1 - reserved;
                return Ok(address);
            }
        }
        Err(FieldError::invalid(
            "spec.clusterIPs",
            json!([]),
            "failed to allocate a serviceIP: range is full",
        ))
    }

    fn address_at(&self, bits: u128) -> IpAddr {
        match self.cidr {
            IpNet::V4(_) => IpAddr::V4(u32::try_from(bits).unwrap_or(0).into()),
            IpNet::V6(_) => IpAddr::V6(bits.into()),
        }
    }

    fn node_ports(
        &self,
        claim: &mut Claim<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), FieldError> {
        let wants = matches!(text(object, "/spec/type"), "NodePort" | "LoadBalancer");
        let kept: BTreeSet<(String, u16)> =
            old.map(|o| node_ports(o).into_iter().collect()).unwrap_or_default();
        let Some(ports) = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else {
            return Ok(());
        };
        if !wants {
            return Ok(());
        }
        let mut taken = self.taken.lock();
        for (at, port) in ports.iter_mut().enumerate() {
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
            let given = port["nodePort"].as_u64().and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
            let chosen = match given {
                Some(given) if kept.contains(&(protocol.clone(), given)) => continue,
                Some(given) => self.given_port(&taken, &protocol, given, at)?,
                None => self.free_port(&taken, &protocol, at)?,
            };
            taken.ports.insert((protocol.clone(), chosen));
            claim.ports.push((protocol, chosen));
            port["nodePort"] = chosen.into();
        }
        Ok(())
    }

    fn given_port(&self, taken: &Taken, protocol: &str, port: u16, at: usize) -> Result<u16, FieldError> {
        let path = format!("spec.ports[{at}].nodePort");
        if !self.ports.contains(&port) {
            let (low, high) = (self.ports.start(), self.ports.end());
            let detail =
                format!("provided port is not in the valid range. The range of valid ports is {low}-{high}");
            return Err(FieldError::invalid(path, port, detail));
        }
        if taken.ports.contains(&(protocol.to_owned(), port)) {
            return Err(FieldError::invalid(path, port, "provided port is already allocated"));
        }
        Ok(port)
    }

    fn free_port(&self, taken: &Taken, protocol: &str, at: usize) -> Result<u16, FieldError> {
        // The lower part of the range is left to those who choose for themselves.
        let reserved = u16::try_from((self.ports.len() / 32).clamp(16, 128)).unwrap_or(0);
        let start = self.ports.start().saturating_add(reserved).min(*self.ports.end());
        let mut candidates = (start..=*self.ports.end()).chain(*self.ports.start()..start);
        let free = candidates.find(|p| !taken.ports.contains(&(protocol.to_owned(), *p)));
        let path = format!("spec.ports[{at}].nodePort");
        free.ok_or_else(|| FieldError::invalid(path, 0, "failed to allocate a nodePort: range is full"))
    }

    /// Gives back what a deleted service had.
    pub(crate) fn release(&self, subject: &Subject, object: &Value) {
        self.release_changed(subject, object, None);
    }

    /// Gives back what a service had and has no more.
    pub(crate) fn release_changed(&self, subject: &Subject, old: &Value, new: Option<&Value>) {
        if subject.kind.kind != "Service" || !subject.kind.group.is_empty() {
            return;
        }
        let kept: Vec<IpAddr> = new.map(addresses).unwrap_or_default();
        let kept_ports = new.map(node_ports).unwrap_or_default();
        let mut taken = self.taken.lock();
        for address in addresses(old).into_iter().filter(|a| !kept.contains(a)) {
            taken.addresses.remove(&address);
        }
        for port in node_ports(old).into_iter().filter(|p| !kept_ports.contains(p)) {
            taken.ports.remove(&port);
        }
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn set_address(object: &mut Value, address: &str) {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("clusterIP".to_owned(), address.into());
        spec.insert("clusterIPs".to_owned(), json!([address]));
        spec.entry("ipFamilies").or_insert_with(|| json!([family]));
        spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
    }
}

fn addresses(service: &Value) -> Vec<IpAddr> {
    let list = service.pointer("/spec/clusterIPs").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|a| a.as_str()?.parse().ok()).collect()
}

fn node_ports(service: &Value) -> Vec<(String, u16)> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let port = |p: &Value| {
        let number = p["nodePort"].as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)?;
        Some((p["protocol"].as_str().unwrap_or("TCP").to_owned(), number))
    };
    ports.into_iter().flatten().filter_map(port).collect()
}
