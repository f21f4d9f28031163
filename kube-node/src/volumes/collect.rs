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
        let keys = Keys::new(source.items.as_deref(), mode, source.optional);
        keys.pick("configmap", &source.name, config_map(inputs, &source.name), &mut out)?;
    } else if let Some(source) = &volume.secret {
        let (name, mode) =
            (source.secret_name.clone().unwrap_or_default(), source.default_mode.unwrap_or(DEFAULT_MODE));
        let keys = Keys::new(source.items.as_deref(), mode, source.optional);
        keys.pick("secret", &name, secret(inputs, &name), &mut out)?;
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
        let keys = Keys::new(source.items.as_deref(), mode, source.optional);
        keys.pick("configmap", &source.name, config_map(inputs, &source.name), out)?;
    }
    if let Some(source) = &part.secret {
        let keys = Keys::new(source.items.as_deref(), mode, source.optional);
        keys.pick("secret", &source.name, secret(inputs, &source.name), out)?;
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

/// What an object holds by key; `None` without the object.
type Data = Option<BTreeMap<String, Vec<u8>>>;

fn config_map(inputs: &Inputs, name: &str) -> Data {
    let map = inputs.config_maps.get(name)?.clone()?;
    let text = map.data.into_iter().flatten().map(|(k, v)| (k, v.into_bytes()));
    let binary = map.binary_data.into_iter().flatten().map(|(k, v)| (k, v.0));
    Some(text.chain(binary).collect())
}

fn secret(inputs: &Inputs, name: &str) -> Data {
    let secret = inputs.secrets.get(name)?.clone()?;
    Some(secret.data.into_iter().flatten().map(|(k, v)| (k, v.0)).collect())
}

/// Which keys of an object become files.
struct Keys<'a> {
    /// With their paths; all keys under their own names when there is none.
    items: &'a [KeyToPath],
    mode: i32,
    optional: bool,
}

impl<'a> Keys<'a> {
    fn new(items: Option<&'a [KeyToPath]>, mode: i32, optional: Option<bool>) -> Self {
        Self { items: items.unwrap_or_default(), mode, optional: optional.unwrap_or_default() }
    }

    /// Adds the files of the object of this kind and name.
    fn pick(&self, kind: &str, name: &str, data: Data, out: &mut Payload) -> Result<()> {
        let mut data = match data {
            Some(data) => data,
            None if self.optional => return Ok(()),
            None => return Err(Error::Failed(format!("{kind} {name:?} not found"))),
        };
        if self.items.is_empty() {
            data.into_iter().for_each(|(key, value)| insert(out, &key, value, self.mode));
            return Ok(());
        }
        for item in self.items {
            match data.remove(&item.key) {
                Some(value) => insert(out, &item.path, value, item.mode.unwrap_or(self.mode)),
                None if self.optional => {}
                None => {
                    let key = &item.key;
                    let text = format!("{kind} {name:?} references non-existent {kind} key: {key}");
                    return Err(Error::Failed(text));
                }
            }
        }
        Ok(())
    }
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
