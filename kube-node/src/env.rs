//! The environment of containers.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret, Service};

use crate::{
    Error, Result,
    objects::Reference,
    pod::{
        expand::expand,
        fields::{FieldContext, field, resource},
        spec::spec_of,
    },
};

/// What environments are made from: the objects that [`references`] asked for (`None`: not there), services and fields.
#[derive(Debug, Default)]
pub(crate) struct EnvContext {
    pub(crate) config_maps: BTreeMap<String, Option<ConfigMap>>,
    pub(crate) secrets: BTreeMap<String, Option<Secret>>,
    pub(crate) services: Vec<std::sync::Arc<Service>>,
    pub(crate) fields: FieldContext,
}

/// Which objects the environment of a container comes from.
pub(crate) fn references(container: &Container) -> BTreeSet<Reference> {
    let from = container.env_from.iter().flatten().flat_map(|source| {
        let map = source.config_map_ref.as_ref().map(|r| Reference::ConfigMap(r.name.clone()));
        let secret = source.secret_ref.as_ref().map(|r| Reference::Secret(r.name.clone()));
        map.into_iter().chain(secret)
    });
    let keys = container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()).flat_map(|source| {
        let map = source.config_map_key_ref.as_ref().map(|r| Reference::ConfigMap(r.name.clone()));
        let secret = source.secret_key_ref.as_ref().map(|r| Reference::Secret(r.name.clone()));
        map.into_iter().chain(secret)
    });
    from.chain(keys).collect()
}

/// The environment, in order. Missing objects and keys are `Invalid` with upstream's words.
pub(crate) fn resolve(
    pod: &Pod,
    container: &Container,
    context: &EnvContext,
) -> Result<Vec<(String, String)>> {
    let mut own: Vec<(String, String)> = Vec::new();
    from_objects(pod, container, context, &mut own)?;
    let services = service_variables(pod, &context.services);
    let explicit: BTreeSet<&str> = container.env.iter().flatten().map(|e| e.name.as_str()).collect();
    let mut all: Vec<(String, String)> =
        own.into_iter().filter(|(k, _)| !explicit.contains(k.as_str())).collect();
    for var in container.env.iter().flatten() {
        let known = |name: &str| {
            let earlier = all.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.clone());
            earlier.or_else(|| services.get(name).cloned())
        };
        let value = match (&var.value, &var.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, known)),
            (_, Some(source)) => from_source(pod, container, var, source, context)?,
            _ => Some(String::new()),
        };
        all.retain(|(k, _)| *k != var.name);
        all.extend(value.map(|v| (var.name.clone(), v)));
    }
    let missing: Vec<_> =
        services.into_iter().filter(|(k, _)| !all.iter().any(|(own, _)| own == k)).collect();
    all.extend(missing);
    Ok(all)
}

fn from_objects(
    pod: &Pod,
    container: &Container,
    context: &EnvContext,
    out: &mut Vec<(String, String)>,
) -> Result<()> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        let mut add = |key: &str, value: String| {
            let name = format!("{prefix}{key}");
            out.retain(|(k, _)| *k != name);
            out.push((name, value));
        };
        if let Some(reference) = &source.config_map_ref {
            match context.config_maps.get(&reference.name).cloned().flatten() {
                Some(map) => map.data.into_iter().flatten().for_each(|(k, v)| add(&k, v)),
                None if reference.optional == Some(true) => {}
                None => return Err(missing("configmap", &reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match context.secrets.get(&reference.name).cloned().flatten() {
                Some(secret) => secret.data.into_iter().flatten().for_each(|(k, v)| add(&k, text(v.0))),
                None if reference.optional == Some(true) => {}
                None => return Err(missing("secret", &reference.name)),
            }
        }
    }
    tracing::trace!(namespace, "environment from objects");
    Ok(())
}

fn missing(kind: &str, name: &str) -> Error {
    Error::Invalid(format!("{kind} \"{name}\" not found"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of one variable; `None` for an optional reference to nothing.
fn from_source(
    pod: &Pod,
    container: &Container,
    var: &EnvVar,
    source: &EnvVarSource,
    context: &EnvContext,
) -> Result<Option<String>> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(selector) = &source.field_ref {
        return field(pod, selector, &context.fields).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return resource(pod, selector, Some(&container.name), &context.fields).map(Some);
    }
    if let Some(r) = &source.config_map_key_ref {
        let map = context.config_maps.get(&r.name).cloned().flatten();
        return match map.map(|m| m.data.unwrap_or_default().remove(&r.key)) {
            Some(Some(value)) => Ok(Some(value)),
            _ if r.optional == Some(true) => Ok(None),
            None => Err(missing("configmap", &r.name)),
            Some(None) => Err(Error::Invalid(format!(
                "couldn't find key {} in ConfigMap {namespace}/{}",
                r.key, r.name
            ))),
        };
    }
    if let Some(r) = &source.secret_key_ref {
        let secret = context.secrets.get(&r.name).cloned().flatten();
        return match secret.map(|s| s.data.unwrap_or_default().remove(&r.key)) {
            Some(Some(value)) => Ok(Some(text(value.0))),
            _ if r.optional == Some(true) => Ok(None),
            None => Err(missing("secret", &r.name)),
            Some(None) => {
                Err(Error::Invalid(format!("couldn't find key {} in Secret {namespace}/{}", r.key, r.name)))
            }
        };
    }
    Err(Error::Invalid(format!("environment variable {} has no supported source", var.name)))
}

/// `NAME_SERVICE_HOST` and its relatives. Without service links only the API server's own service has them.
fn service_variables(pod: &Pod, services: &[std::sync::Arc<Service>]) -> BTreeMap<String, String> {
    let links = spec_of(pod).enable_service_links.unwrap_or(true);
    let mut out = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let master = service.metadata.namespace.as_deref() == Some("default") && name == "kubernetes";
        if links || master {
            one_service(name, service, &mut out);
        }
    }
    out
}

fn one_service(name: &str, service: &Service, out: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let Some(ip) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let base = name.to_uppercase().replace('-', "_");
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    out.insert(format!("{base}_SERVICE_HOST"), ip.to_owned());
    out.insert(format!("{base}_SERVICE_PORT"), first.port.to_string());
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    for (i, port) in ports.iter().enumerate() {
        if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            let port_name = port_name.to_uppercase().replace('-', "_");
            out.insert(format!("{base}_SERVICE_PORT_{port_name}"), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        let prefix = format!("{base}_PORT_{}_{protocol}", port.port);
        if i == 0 {
            out.insert(format!("{base}_PORT"), url.clone());
        }
        out.insert(prefix.clone(), url);
        out.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        out.insert(format!("{prefix}_PORT"), port.port.to_string());
        out.insert(format!("{prefix}_ADDR"), ip.to_owned());
    }
}
