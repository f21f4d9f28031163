//! What files a volume of the configMap, secret, downwardAPI and projected kinds has. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume, VolumeProjection,
};

use super::atomic::{File, Payload};
use crate::{
    Error, Result,
    objects::Reference,
    pod::fields::{FieldContext, field, resource},
};

const DEFAULT_MODE: i32 = 0o644;

/// What volumes are made from.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) config_maps: BTreeMap<String, Option<ConfigMap>>,
    pub(super) secrets: BTreeMap<String, Option<Secret>>,
    /// Tokens by volume and path.
    pub(super) tokens: BTreeMap<(String, String), String>,
    pub(super) fields: FieldContext,
}

/// Which objects the volumes of a pod come from.
pub(crate) fn references(pod: &Pod) -> BTreeSet<Reference> {
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    volumes.flat_map(volume_references).collect()
}

fn volume_references(volume: &Volume) -> Vec<Reference> {
    let mut out = Vec::new();
    out.extend(volume.config_map.as_ref().map(|s| Reference::ConfigMap(s.name.clone())));
    out.extend(volume.secret.as_ref().and_then(|s| s.secret_name.clone()).map(Reference::Secret));
    for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
        out.extend(source.config_map.as_ref().map(|s| Reference::ConfigMap(s.name.clone())));
        out.extend(source.secret.as_ref().map(|s| Reference::Secret(s.name.clone())));
    }
    out
}

/// The files of a volume, or `None` when it is of another kind. What is missing and not optional is `NotFound` or `Invalid` in upstream's words.
pub(super) fn payload(pod: &Pod, volume: &Volume, inputs: &Inputs) -> Result<Option<Payload>> {
    let mut out = Payload::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        config_map(pod, &source.name, source.items.as_deref(), mode, source.optional, inputs, &mut out)?;
    } else if let Some(source) = &volume.secret {
        let (name, mode) =
            (source.secret_name.clone().unwrap_or_default(), source.default_mode.unwrap_or(DEFAULT_MODE));
        secret(pod, &name, source.items.as_deref(), mode, source.optional, inputs, &mut out)?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        downward(pod, source.items.as_deref().unwrap_or_default(), mode, inputs, &mut out)?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        for part in source.sources.iter().flatten() {
            projection(pod, volume, part, mode, inputs, &mut out)?;
        }
    } else {
        return Ok(None);
    }
    Ok(Some(out))
}

fn projection(
    pod: &Pod,
    volume: &Volume,
    part: &VolumeProjection,
    mode: i32,
    inputs: &Inputs,
    out: &mut Payload,
) -> Result<()> {
    if let Some(source) = &part.config_map {
        config_map(pod, &source.name, source.items.as_deref(), mode, source.optional, inputs, out)?;
    }
    if let Some(source) = &part.secret {
        secret(pod, &source.name, source.items.as_deref(), mode, source.optional, inputs, out)?;
    }
    if let Some(source) = &part.downward_api {
        downward(pod, source.items.as_deref().unwrap_or_default(), mode, inputs, out)?;
    }
    if let Some(source) = &part.service_account_token {
        let token = inputs.tokens.get(&(volume.name.clone(), source.path.clone()));
        let token = token.ok_or_else(|| Error::not_found("service account token", &source.path))?;
        insert(out, &source.path, token.clone().into_bytes(), mode);
    }
    Ok(())
}

fn insert(out: &mut Payload, path: &str, data: Vec<u8>, mode: i32) {
    out.insert(PathBuf::from(path), File { data, mode: mode as u32 & 0o777 });
}

fn config_map(
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: Option<bool>,
    inputs: &Inputs,
    out: &mut Payload,
) -> Result<()> {
    let optional = optional.unwrap_or_default();
    let Some(map) = inputs.config_maps.get(name).cloned().flatten() else {
        return if optional { Ok(()) } else { Err(missing("configmap", name)) };
    };
    let text = map.data.into_iter().flatten().map(|(k, v)| (k, v.into_bytes()));
    let binary = map.binary_data.into_iter().flatten().map(|(k, v)| (k, v.0));
    pick(text.chain(binary).collect(), items, mode, optional, out)
        .map_err(|key| no_key(pod, "configmap", name, &key))
}

fn secret(
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: Option<bool>,
    inputs: &Inputs,
    out: &mut Payload,
) -> Result<()> {
    let optional = optional.unwrap_or_default();
    let Some(secret) = inputs.secrets.get(name).cloned().flatten() else {
        return if optional { Ok(()) } else { Err(missing("secret", name)) };
    };
    let data = secret.data.into_iter().flatten().map(|(k, v)| (k, v.0)).collect();
    pick(data, items, mode, optional, out).map_err(|key| no_key(pod, "secret", name, &key))
}

fn missing(kind: &'static str, name: &str) -> Error {
    Error::Failed(format!("{kind} {name:?} not found"))
}

fn no_key(_: &Pod, kind: &str, name: &str, key: &str) -> Error {
    Error::Failed(format!("{kind} {name:?} references non-existent {kind} key: {key}"))
}

/// All keys, or those of `items` under their paths; an error is the key that is not there.
fn pick(
    mut data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    out: &mut Payload,
) -> Result<(), String> {
    let Some(items) = items.filter(|i| !i.is_empty()) else {
        data.into_iter().for_each(|(key, value)| insert(out, &key, value, mode));
        return Ok(());
    };
    for item in items {
        match data.remove(&item.key) {
            Some(value) => insert(out, &item.path, value, item.mode.unwrap_or(mode)),
            None if optional => {}
            None => return Err(item.key.clone()),
        }
    }
    Ok(())
}

fn downward(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: i32,
    inputs: &Inputs,
    out: &mut Payload,
) -> Result<()> {
    for item in items {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(selector), _) => field(pod, selector, &inputs.fields)?,
            (None, Some(selector)) => resource(pod, selector, None, &inputs.fields)?,
            (None, None) => continue,
        };
        insert(out, &item.path, value.into_bytes(), item.mode.unwrap_or(mode));
    }
    Ok(())
}
