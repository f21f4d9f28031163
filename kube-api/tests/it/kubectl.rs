//! The stock kubectl over TLS on loopback.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use kube_api::pki::{Pki, Subject, kubeconfig};
use kube_api::serve::{ServeConfig, serve, tls_config};
use kube_api::{ApiServer, Clock, Config};
use kube_store::MemoryStore;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

struct Kubectl {
    dir: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

impl Kubectl {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = Clock::system();
        let pki = Pki::open(dir.path().join("pki"), clock.now()).unwrap();
        let key = Some(pki.service_account_key().to_owned());
        let config = Config { advertise_port: port, service_account_key: key, clock, ..Config::default() };
        let server = ApiServer::builder(Arc::new(MemoryStore::new())).config(config).build().await.unwrap();
        let identity =
            pki.server("apiserver", "kube-apiserver", &["localhost"], &[Ipv4Addr::LOCALHOST.into()]).unwrap();
        let tls = tls_config(&identity, pki.ca_pem()).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, tls, server, ServeConfig::default(), stop.clone()));
        let admin =
            pki.client("admin", &Subject::new("kubernetes-admin").organization("system:masters")).unwrap();
        let url = format!("https://127.0.0.1:{port}");
        std::fs::write(dir.path().join("config"), kubeconfig(&url, pki.ca_pem(), &admin, "admin")).unwrap();
        Self { dir, _stop: stop.drop_guard() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn run(&self, line: &str) -> Output {
        let mut command = Command::new("kubectl");
        command.args(line.split_whitespace()).current_dir(self.path());
        command.env("KUBECONFIG", self.path().join("config")).env("HOME", self.path());
        command.output().await.unwrap()
    }

    /// Runs a command that must succeed and returns what it prints.
    async fn ok(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert!(output.status.success(), "kubectl {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail and returns what it complains about.
    async fn refused(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert!(!output.status.success(), "kubectl {line}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: COLOR}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_kubectl_finds_what_it_expects() {
    if Command::new("kubectl").arg("version").arg("--client").output().await.is_err() {
        // Not eprintln!, which the test harness keeps to itself.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: there is no kubectl on PATH\n");
        return;
    }
    let kubectl = Kubectl::start().await;
    assert!(kubectl.ok("version").await.contains("Server Version: v1.35"));
    assert!(kubectl.ok("api-resources").await.contains("deployments"));
    assert!(kubectl.ok("get --raw /readyz?verbose").await.contains("[+]etcd ok"));
    assert!(kubectl.ok("explain deployment.spec.strategy").await.contains("RollingUpdate"));
    assert!(kubectl.ok("auth whoami").await.contains("kubernetes-admin"));
    assert_eq!(kubectl.ok("auth can-i delete pods").await.trim(), "yes");
    creates(&kubectl).await;
    applies(&kubectl).await;
    changes(&kubectl).await;
    assert!(
        kubectl
            .refused("get pods nothing")
            .await
            .contains("Error from server (NotFound): pods \"nothing\" not found")
    );
    assert!(kubectl.ok("delete -f m.yaml").await.contains("deployment.apps \"web\" deleted"));
    assert!(kubectl.ok("get namespaces").await.contains("kube-system"));
}

/// These commands send protobuf.
async fn creates(kubectl: &Kubectl) {
    kubectl.ok("create serviceaccount default").await;
    kubectl.ok("create configmap plain --from-literal=a=b").await;
    assert_eq!(kubectl.ok("get cm plain -o jsonpath={.data.a}").await, "b");
    kubectl.ok("create secret generic hidden --from-literal=a=b").await;
    assert_eq!(kubectl.ok("get secret hidden -o jsonpath={.data.a}").await, "Yg==");
    kubectl.ok("create deployment made --image=x --replicas=3 --port=80").await;
    assert_eq!(kubectl.ok("get deploy made -o jsonpath={.spec.replicas}").await, "3");
    assert_eq!(kubectl.ok("get deploy made -o jsonpath={..containerPort}").await, "80");
    kubectl.ok("create namespace elsewhere").await;
    kubectl.ok("create quota few --hard=pods=1,cpu=500m").await;
    assert_eq!(kubectl.ok("get quota few -o jsonpath={.spec.hard.cpu}").await, "500m");
    kubectl.ok("create job once --image=x -- echo hello").await;
    kubectl.ok("create cronjob daily --image=x --schedule=@daily").await;
    kubectl.ok("create service nodeport port --tcp=80:web").await;
    assert_eq!(kubectl.ok("get svc port -o jsonpath={.spec.ports[0].targetPort}").await, "web");
    assert_eq!(kubectl.ok("create token default").await.split('.').count(), 3);
    kubectl.ok("run single --image=x").await;
}

async fn applies(kubectl: &Kubectl) {
    let file = kubectl.path().join("m.yaml");
    std::fs::write(&file, MANIFEST.replace("COLOR", "red")).unwrap();
    assert!(kubectl.ok("apply -f m.yaml").await.contains("deployment.apps/web created"));
    assert!(kubectl.ok("apply -f m.yaml").await.contains("deployment.apps/web unchanged"));
    std::fs::write(&file, MANIFEST.replace("COLOR", "blue")).unwrap();
    assert!(kubectl.ok("apply -f m.yaml").await.contains("configmap/settings configured"));
    assert_eq!(kubectl.ok("get cm settings -o jsonpath={.data.color}").await, "blue");
    let table = kubectl.ok("get deploy,svc,cm").await;
    assert!(table.contains("READY") && table.contains("CLUSTER-IP") && table.contains("0/2"), "{table}");
    std::fs::write(kubectl.path().join("bad.yaml"), MANIFEST.replace("data:", "datum:")).unwrap();
    let refusal = kubectl.refused("create -f bad.yaml --dry-run=server").await;
    assert!(refusal.contains("unknown field \"datum\""), "{refusal}");
}

async fn changes(kubectl: &Kubectl) {
    kubectl.ok("scale deploy/web --replicas=5").await;
    kubectl.ok("label deploy/web tier=front").await;
    kubectl.ok("annotate deploy/web note=x").await;
    kubectl.ok("set env deploy/web A=B").await;
    kubectl.ok("patch deploy/web --type=json -p [{\"op\":\"add\",\"path\":\"/metadata/labels/json\",\"value\":\"1\"}]").await;
    kubectl.ok("patch deploy/web --type=merge -p {\"metadata\":{\"labels\":{\"merge\":\"1\"}}}").await;
    kubectl.ok("patch deploy/web -p {\"metadata\":{\"labels\":{\"strategic\":\"1\"}}}").await;
    let deployment: Value = serde_json::from_str(&kubectl.ok("get deploy web -o json").await).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 5);
    for label in ["tier", "json", "merge", "strategic"] {
        assert!(deployment["metadata"]["labels"][label].is_string(), "{label}");
    }
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"], "A");
}
