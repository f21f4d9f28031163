//! Which resources the API server has.

use crate::Result;
use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::Client;
use kube::api::ApiResource;

/// One resource in its group's preferred version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Discovered {
    /// Group, version, kind and plural.
    pub(crate) resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub(crate) namespaced: bool,
    /// What can be done with it.
    pub(crate) verbs: Vec<String>,
}

impl Discovered {
    /// Whether every one of these verbs is supported.
    pub(crate) fn supports(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|known| known == verb))
    }

    /// The resource as `plural.group`, as status messages name it.
    pub(crate) fn group_resource(&self) -> String {
        format!("{}.{}", self.resource.plural, self.resource.group)
    }
}

/// Every resource that could be discovered, without subresources, and what went wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Discovery {
    /// The resources.
    pub(crate) resources: Vec<Discovered>,
    /// One message for each group version that could not be read.
    pub(crate) failures: Vec<String>,
}

/// Asks the server for all its resources.
///
/// # Errors
/// If not even the groups can be listed. A group that fails alone is a failure in the result.
pub(crate) async fn discover(client: &Client) -> Result<Discovery> {
    let core =
        async { ("v1".to_owned(), client.list_core_api_resources("v1").await.map(|list| list.resources)) };
    let groups = client.list_api_groups().await?.groups;
    let preferred = |group: &k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup| {
        let first = group.preferred_version.as_ref().or_else(|| group.versions.first());
        first.map(|version| version.group_version.clone())
    };
    let versions: Vec<String> =
        groups.iter().filter_map(preferred).filter(|version| version.contains('/')).collect();
    let rest = versions.into_iter().map(|version| async move {
        let list = client.list_api_group_resources(&version).await.map(|list| list.resources);
        (version, list)
    });
    let (core, rest) = futures::join!(core, join_all(rest));
    let mut discovery = Discovery::default();
    for (version, list) in [core].into_iter().chain(rest) {
        match list {
            Ok(resources) => {
                let plain = resources.into_iter().filter(|resource| !resource.name.contains('/'));
                discovery.resources.extend(plain.map(|resource| discovered(&version, resource)));
            }
            Err(error) => discovery.failures.push(format!("{version}: {error}")),
        }
    }
    Ok(discovery)
}

fn discovered(group_version: &str, resource: APIResource) -> Discovered {
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let resource_type = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: group_version.into(),
        kind: resource.kind,
        plural: resource.name,
    };
    Discovered { resource: resource_type, namespaced: resource.namespaced, verbs: resource.verbs }
}
