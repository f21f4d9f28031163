//! `resolv.conf` and `/etc/hosts` of pods.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use crate::{
    config::Config,
    pod::{
        config::{domain, hostname},
        spec::{host_network, spec_of},
    },
    seam::DnsConfig,
};

/// What a resolv.conf says.
pub(crate) fn parse_resolv_conf(text: &str) -> DnsConfig {
    let mut dns = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let rest = words.map(str::to_owned);
        match kind {
            "nameserver" => dns.servers.extend(rest.take(1)),
            "search" | "domain" => dns.searches = rest.collect(),
            "options" => dns.options = rest.collect(),
            _ => {}
        }
    }
    dns
}

/// The DNS configuration of a pod by its `dnsPolicy` and `dnsConfig`; `host` is the node's own.
pub(crate) fn pod_dns(pod: &Pod, config: &Config, host: &DnsConfig) -> DnsConfig {
    let spec = spec_of(pod);
    let cluster_first = match spec.dns_policy.as_deref() {
        Some("None") => None,
        Some("Default") => Some(false),
        Some("ClusterFirstWithHostNet") => Some(true),
        _ => Some(!host_network(pod)),
    };
    let mut dns = match cluster_first {
        None => DnsConfig::default(),
        Some(true) if !config.cluster_dns.is_empty() => cluster_dns(pod, config, host),
        Some(_) => host.clone(),
    };
    if let Some(own) = &spec.dns_config {
        let mut seen: BTreeSet<String> = dns.servers.iter().cloned().collect();
        dns.servers.extend(own.nameservers.iter().flatten().filter(|s| seen.insert((*s).clone())).cloned());
        let mut seen: BTreeSet<String> = dns.searches.iter().cloned().collect();
        dns.searches.extend(own.searches.iter().flatten().filter(|s| seen.insert((*s).clone())).cloned());
        for option in own.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            let has_name = |o: &String| o.split(':').next() == Some(name);
            dns.options.retain(|o| !has_name(o));
            dns.options.push(option.value.as_ref().map_or(name.clone(), |v| format!("{name}:{v}")));
        }
    }
    dns
}

fn cluster_dns(pod: &Pod, config: &Config, host: &DnsConfig) -> DnsConfig {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let cluster = &config.cluster_domain;
    let mut searches = vec![format!("{namespace}.svc.{cluster}"), format!("svc.{cluster}"), cluster.clone()];
    searches.extend(host.searches.iter().filter(|s| *s != ".").cloned());
    DnsConfig {
        servers: config.cluster_dns.iter().map(IpAddr::to_string).collect(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

/// `/etc/hosts` for a pod with its own network.
pub(crate) fn hosts_file(pod: &Pod, ips: &[IpAddr], cluster_domain: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let name = hostname(pod, cluster_domain);
    let short = name.split('.').next().unwrap_or(&name);
    for ip in ips {
        match domain(pod, cluster_domain) {
            Some(domain) => text.push_str(&format!("{ip}\t{short}.{domain}\t{short}\n")),
            None => text.push_str(&format!("{ip}\t{name}\n")),
        }
    }
    let spec = spec_of(pod);
    text + &aliases(spec.host_aliases.as_deref().unwrap_or_default())
}

/// The lines for `hostAliases`, for pods with the host's network appended to the host's file.
pub(crate) fn aliases(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let line = |a: &HostAlias| format!("{}\t{}\n", a.ip, a.hostnames.clone().unwrap_or_default().join("\t"));
    format!("\n# Entries added by HostAliases.\n{}", aliases.iter().map(line).collect::<String>())
}
