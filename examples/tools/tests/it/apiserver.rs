//! A stock kube-apiserver on the `kube-store` binary, driven by kubectl, over TLS.
//!
//! It is found by the variable `KUBE_APISERVER` or on the `PATH`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use rcgen::KeyPair;
use tempfile::TempDir;

use crate::identity::Authority;
use crate::process::{Process, free_address, skip};

/// Who may everything.
const TOKEN: &str = "the-token-of-the-test";

/// Objects that are made before the store is killed.
const OBJECTS: usize = 40;

/// The apiserver, or why there is no test.
fn apiserver() -> Result<PathBuf, &'static str> {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        return Err("kubectl is not installed");
    }
    let named = std::env::var_os("KUBE_APISERVER").map_or_else(|| "kube-apiserver".into(), PathBuf::from);
    match Command::new(&named).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(named),
        _ => Err("there is no kube-apiserver: name one by KUBE_APISERVER"),
    }
}

/// Both processes, and what they need.
struct Stack {
    dir: TempDir,
    store: String,
    api: String,
    running: Option<Process>,
    apiserver: Option<Process>,
}

impl Stack {
    /// Starts both.
    async fn start(binary: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = Authority::new(dir.path());
        authority.sign("server", "localhost");
        authority.sign("apiserver", "apiserver");
        let accounts = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("accounts.key"), accounts.serialize_pem()).unwrap();
        std::fs::write(dir.path().join("accounts.pub"), accounts.public_key_pem()).unwrap();
        std::fs::write(dir.path().join("tokens"), format!("{TOKEN},admin,1,system:masters\n")).unwrap();
        let (store, api) = (free_address(), free_address());
        let mut stack = Self { dir, store, api, running: None, apiserver: None };
        stack.start_store();
        stack.apiserver = Some(stack.start_apiserver(binary));
        stack.ready().await;
        stack
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn start_store(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_kube-store"))
            .args(["--data-dir", &self.file("data"), "--log-outputs", &self.file("store.log")])
            .args(["--listen-client-urls", &format!("https://{}", self.store)])
            .args(["--cert-file", &self.file("server.crt"), "--key-file", &self.file("server.key")])
            .args(["--trusted-ca-file", &self.file("ca.crt"), "--client-cert-auth"])
            .stdin(Stdio::null())
            .spawn();
        self.running = Some(Process(child.unwrap()));
    }

    fn start_apiserver(&self, binary: &Path) -> Process {
        let (_, port) = self.api.split_once(':').unwrap();
        let log = std::fs::File::create(self.file("apiserver.log")).unwrap();
        let child = Command::new(binary)
            .arg(format!("--etcd-servers=https://{}", self.store))
            .args([format!("--etcd-cafile={}", self.file("ca.crt"))])
            .args([format!("--etcd-certfile={}", self.file("apiserver.crt"))])
            .args([format!("--etcd-keyfile={}", self.file("apiserver.key"))])
            .args(["--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC"])
            .arg(format!("--service-account-key-file={}", self.file("accounts.pub")))
            .arg(format!("--service-account-signing-key-file={}", self.file("accounts.key")))
            .arg(format!("--token-auth-file={}", self.file("tokens")))
            .arg(format!("--cert-dir={}", self.file("certificates")))
            .args(["--bind-address=127.0.0.1", "--advertise-address=10.255.0.1"])
            .args([&format!("--secure-port={port}"), "--service-cluster-ip-range=10.96.0.0/24"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Process(child.unwrap())
    }

    fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(["--kubeconfig=/dev/null", "--insecure-skip-tls-verify"])
            .args([&format!("--server=https://{}", self.api), &format!("--token={TOKEN}")])
            // What it keeps of one cluster is none of another's business.
            .env("KUBECACHEDIR", self.file("cache"))
            .args(args);
        command
    }

    /// What kubectl prints, with `input` for its input.
    fn run(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut command = self.kubectl(args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // One that fails does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn ok(&self, args: &[&str], input: &str) -> String {
        self.run(args, input).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Waits until the apiserver says that it and its store are well.
    async fn ready(&mut self) {
        while self.run(&["get", "--raw", "/readyz"], "").as_deref() != Ok("ok") {
            let process = &mut self.apiserver.as_mut().unwrap().0;
            if let Some(status) = process.try_wait().unwrap() {
                let log = std::fs::read_to_string(self.file("apiserver.log")).unwrap();
                let last: Vec<_> = log.lines().rev().take(20).collect();
                panic!("the apiserver ended with {status}: {last:#?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Watches config maps; answers once that has begun.
    fn watch(&self) -> Watch {
        let args = ["get", "configmaps", "--namespace=test", "--watch", "--output=name"];
        let mut child = self.kubectl(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Watch { lines, _process: Process(child) }
    }
}

/// A watch of kubectl's, which prints a line for each event.
struct Watch {
    lines: BufReader<ChildStdout>,
    _process: Process,
}

impl Watch {
    /// Reads lines until one is this.
    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim() != wanted {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the watch ended before {wanted}");
        }
    }
}

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: test}}\ndata: {{value: '{value}'}}\n---\n"
    )
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {sails: {type: integer}}}}
";
const SHIP: &str = "
apiVersion: example.com/v1
kind: Ship
metadata: {name: argo, namespace: test}
spec: {sails: 1}
";

/// The version of an object, which rises with every write of the store.
fn version(stack: &Stack, name: &str) -> u64 {
    let path = "--output=jsonpath={.metadata.resourceVersion}";
    stack.ok(&["get", "configmap", name, "--namespace=test", path], "").parse().unwrap()
}

/// Namespaces, objects of a built-in kind and of one's own, in pages and watched.
fn use_it(stack: &Stack) {
    stack.ok(&["create", "namespace", "test"], "");
    let all: String = (0..OBJECTS).map(|n| config_map(&format!("c{n}"), "1")).collect();
    stack.ok(&["apply", "--filename=-"], &all);
    let listed = stack.ok(&["get", "configmaps", "--namespace=test", "--output=name", "--chunk-size=7"], "");
    let made = listed.lines().filter(|line| line.starts_with("configmap/c")).count();
    assert_eq!(made, OBJECTS, "{listed}");

    let mut watch = stack.watch();
    watch.wait_for("configmap/c9");
    stack.ok(&["apply", "--filename=-"], &config_map("later", "1"));
    watch.wait_for("configmap/later");
    stack.ok(&["patch", "configmap", "c1", "--namespace=test", "--patch={\"data\":{\"value\":\"2\"}}"], "");
    watch.wait_for("configmap/c1");
    stack.ok(&["delete", "configmap", "c2", "--namespace=test"], "");
    watch.wait_for("configmap/c2");

    stack.ok(&["apply", "--filename=-"], DEFINITION);
    stack.ok(&["wait", "--for=condition=Established", "crd/ships.example.com", "--timeout=60s"], "");
    stack.ok(&["apply", "--filename=-"], SHIP);
    let stale = stack.run(
        &["replace", "--filename=-"],
        &SHIP.replace("namespace: test", "namespace: test, resourceVersion: '1'"),
    );
    assert!(stale.is_err_and(|error| error.contains("Conflict")), "an old version is not replaced");
}

/// What was made is there, and what is made comes to watchers.
fn check_all_is_there(stack: &Stack, before: u64) {
    let listed = stack.ok(&["get", "configmaps", "--namespace=test", "--output=name"], "");
    for n in (0..OBJECTS).filter(|n| *n != 2) {
        assert!(listed.lines().any(|line| line == format!("configmap/c{n}")), "c{n} in {listed}");
    }
    assert!(!listed.contains("configmap/c2\n"), "it was deleted");
    let value = "--output=jsonpath={.data.value}";
    assert_eq!(stack.ok(&["get", "configmap", "c1", "--namespace=test", value], ""), "2");
    let sails = "--output=jsonpath={.spec.sails}";
    assert_eq!(stack.ok(&["get", "ship", "argo", "--namespace=test", sails], ""), "1");
    let mut watch = stack.watch();
    watch.wait_for("configmap/later");
    stack.ok(&["apply", "--filename=-"], &config_map("last", "1"));
    watch.wait_for("configmap/last");
    assert!(version(stack, "last") > before, "versions go on rising");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_apiserver_runs_on_the_store_and_outlives_its_death() {
    let binary = match apiserver() {
        Ok(binary) => binary,
        Err(why) => return skip("apiserver", why),
    };
    let mut stack = Stack::start(&binary).await;
    use_it(&stack);
    let before = version(&stack, "c1");
    for _ in 0..2 {
        // Dropping a process kills it, as by kill -9.
        drop(stack.running.take());
        assert!(
            stack.run(&["create", "namespace", "lost", "--request-timeout=3s"], "").is_err(),
            "nothing is kept without a store"
        );
        stack.start_store();
        stack.ready().await;
        check_all_is_there(&stack, before);
        stack.ok(&["delete", "configmap", "last", "--namespace=test"], "");
    }
    stack.ok(&["delete", "namespace", "test", "--wait=false"], "");
}
