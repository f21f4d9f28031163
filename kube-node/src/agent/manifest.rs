//! Static pods: pods from files of the node, which run without anybody else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{Pod, Toleration};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{Config, Error, Result, pod::mirror};

/// The largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;

/// Static pods by namespace and name.
pub(super) type Statics = BTreeMap<(String, String), Arc<Pod>>;

/// Reads the folder now and again, and tells when its pods are others. Does not return.
pub(super) async fn follow(config: &Config, pods: watch::Sender<Statics>) {
    if config.static_pod_path.is_none() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(config.file_check).await;
        let found = read(config).await;
        pods.send_if_modified(|known| {
            let changed = *known != found;
            *known = found;
            changed
        });
    }
}

/// The pods in a folder. A file that is none is reported in the log and keeps no other from running.
pub(super) async fn read(config: &Config) -> Statics {
    let Some(folder) = config.static_pod_path.clone() else { return Statics::new() };
    let node = config.node_name.clone();
    tokio::task::spawn_blocking(move || read_now(&folder, &node)).await.unwrap_or_default()
}

fn read_now(folder: &Path, node: &str) -> Statics {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    // What begins with a dot is an editor's, not finished yet.
    paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    let mut pods = Statics::new();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        match read_file(&path).and_then(|text| static_pod(&text, &path, node)) {
            Ok(pod) => {
                let meta = &pod.metadata;
                let name =
                    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
                pods.entry(name).or_insert_with(|| Arc::new(pod));
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "no static pod"),
        }
    }
    pods
}

fn read_file(path: &Path) -> Result<String> {
    let doing = || format!("read {}", path.display());
    if std::fs::metadata(path).map_err(Error::io(doing()))?.len() > MAX_MANIFEST {
        return Err(Error::Invalid(format!("larger than {MAX_MANIFEST} bytes")));
    }
    std::fs::read_to_string(path).map_err(Error::io(doing()))
}

/// The pod that a file (YAML or JSON) describes, with what upstream's kubelet adds: the node in its name, an uid that changes with its content, and
/// that it is never evicted by a taint.
fn static_pod(text: &str, path: &Path, node: &str) -> Result<Pod> {
    let invalid = |text: String| Error::Invalid(text);
    let object: Value = serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?;
    // By way of JSON's text, since the program has a reader of pods for it already and another would be as large.
    let mut pod: Pod =
        serde_json::from_str(&object.to_string()).map_err(|error| invalid(error.to_string()))?;
    let (Some(spec), Some(name)) = (&mut pod.spec, &pod.metadata.name) else {
        return Err(invalid("a pod needs a name and a spec".to_owned()));
    };
    spec.node_name = Some(node.to_owned());
    let always = Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    };
    let tolerations = spec.tolerations.get_or_insert_default();
    if !tolerations.contains(&always) {
        tolerations.push(always);
    }
    // What an API server would have filled in, and what a removed file leaves to its pod.
    let grace = *spec.termination_grace_period_seconds.get_or_insert(30);
    pod.metadata.name = Some(format!("{name}-{}", node.to_lowercase()));
    pod.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    pod.status = None;
    let content = serde_json::to_string(&pod).map_err(|error| invalid(error.to_string()))?;
    let hash = Sha256::digest(format!("{node}\0{}\0{content}", path.display()));
    let hash = hash.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(mirror::SOURCE.to_owned(), mirror::FILE.to_owned());
    annotations.insert(mirror::HASH.to_owned(), hash.clone());
    annotations.remove(mirror::MIRROR);
    pod.metadata.uid.get_or_insert(hash);
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: c, image: busybox, ports: [{containerPort: 80}]}
";

    #[test]
    fn a_manifest_becomes_a_pod_of_this_node() {
        let pod = |text: &str, node: &str| static_pod(text, Path::new("/m/web.yaml"), node).unwrap();
        let web = pod(WEB, "N1");
        let meta = &web.metadata;
        assert_eq!((meta.name.as_deref(), meta.namespace.as_deref()), (Some("web-n1"), Some("default")));
        assert_eq!(web.spec.as_ref().unwrap().node_name.as_deref(), Some("N1"));
        assert_eq!(meta.annotations.as_ref().unwrap()["kubernetes.io/config.source"], "file");
        assert_eq!(meta.annotations.as_ref().unwrap().get("kubernetes.io/config.hash"), meta.uid.as_ref());
        assert_eq!(pod(WEB, "N1"), web, "the same file is the same pod");
        for other in [pod(WEB, "n2"), pod(&WEB.replace("busybox", "nginx"), "N1")] {
            assert_ne!(other.metadata.uid, meta.uid);
        }
        let json = serde_json::to_string(&serde_json::json!({
            "metadata": {"name": "j", "namespace": "kube-system", "uid": "mine"}, "spec": {"containers": []}
        }));
        let meta = pod(&json.unwrap(), "n1").metadata;
        assert_eq!((meta.namespace.as_deref(), meta.uid.as_deref()), (Some("kube-system"), Some("mine")));
        for bad in ["", "metadata: {name: x}", "spec: {containers: []}", "- a", "spec: [", "spec: 3"] {
            assert!(static_pod(bad, Path::new("/m"), "n").is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_read_without_what_is_no_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let names = |pods: &Statics| pods.keys().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        for (name, text) in [(".web.yaml.swp", WEB), ("a.yaml", "{"), ("b.yaml", WEB), ("c.yaml", WEB)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("d.yaml")).unwrap();
        let config = |path: &Path| Config {
            static_pod_path: Some(path.to_owned()),
            node_name: "n1".to_owned(),
            ..Config::default()
        };
        let pods = read(&config(folder.path())).await;
        assert_eq!(names(&pods), ["web-n1"], "of two with one name the first counts");
        assert!(read(&config(&folder.path().join("none"))).await.is_empty());
    }
}
