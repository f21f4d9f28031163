//! What the content of volumes comes from: objects and tokens.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use kube::Client;

use super::{
    collect::{Inputs, references},
    token::Tokens,
};
use crate::{
    Clock, Error, Result,
    objects::{Objects, Reference},
    pod::{fields::FieldContext, spec::pod_ref},
};

/// Asks the API server for what volumes are made from.
pub(super) struct Sources {
    objects: Objects,
    tokens: Tokens,
}

impl Sources {
    pub(super) fn new(client: Client, clock: Clock, objects: Objects) -> Self {
        Self { objects, tokens: Tokens::new(client, clock) }
    }

    /// What these volumes need, and when it should be asked for again.
    pub(super) async fn inputs(
        &self,
        pod: &Pod,
        volumes: &[Volume],
        fields: FieldContext,
    ) -> Result<(Inputs, Option<Timestamp>)> {
        let namespace = pod_ref(pod).namespace;
        let mut inputs = Inputs { fields, ..Inputs::default() };
        for reference in references(pod) {
            match reference {
                Reference::ConfigMap(name) => {
                    let found = self.objects.config_map(&namespace, &name).await?;
                    inputs.config_maps.insert(name, found);
                }
                Reference::Secret(name) => {
                    let found = self.objects.secret(&namespace, &name).await?;
                    inputs.secrets.insert(name, found);
                }
            }
        }
        let renew = self.tokens(pod, volumes, &mut inputs).await?;
        Ok((inputs, renew))
    }

    async fn tokens(&self, pod: &Pod, volumes: &[Volume], inputs: &mut Inputs) -> Result<Option<Timestamp>> {
        let mut earliest: Option<Timestamp> = None;
        for volume in volumes {
            for part in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
                let Some(source) = &part.service_account_token else { continue };
                let failed = |e: Error| {
                    Error::Failed(format!(
                        "MountVolume.SetUp failed for volume {:?} : failed to fetch token: {e}",
                        volume.name
                    ))
                };
                let (token, renew) = self.tokens.get(pod, source).await.map_err(failed)?;
                earliest = Some(earliest.map_or(renew, |r| r.min(renew)));
                inputs.tokens.insert((volume.name.clone(), source.path.clone()), token);
            }
        }
        Ok(earliest)
    }

    /// Forgets what was only for this pod.
    pub(super) fn forget(&self, uid: &str) {
        self.tokens.forget(uid);
    }
}
