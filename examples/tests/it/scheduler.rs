//! `kube-scheduler`: two processes and their lease, what they serve, what they write and what they refuse.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use kube_sched::Settings;
use kube_sched::framework::Registry;
use serde_json::{from_value, json};

use crate::server::{PATIENCE, Server, bound, create, node};

const LOOK: Duration = Duration::from_millis(50);

fn scheduler() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kube-scheduler"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs a scheduler that is to end by itself.
fn output(args: &[&str]) -> Output {
    scheduler().args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process that is killed with its owner, and a client of what it serves.
struct Process {
    child: Child,
    health: Client,
    port: u16,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on, to be listened on at once.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Process {
    async fn start(server: &Server, config: &Path, more: &[&str]) -> Self {
        let (port, (cert, key)) = (free_port(), server.serving());
        let child = scheduler()
            .arg(format!("--config={}", config.display()))
            .arg(format!("--secure-port={port}"))
            .arg(format!("--tls-cert-file={}", cert.display()))
            .arg(format!("--tls-private-key-file={}", key.display()))
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, health: server.component(port, None), port };
        process.until("/livez", |answer| answer == "ok").await;
        process
    }

    /// The text under a path, or the code of what is said instead.
    async fn get(&self, client: &Client, path: &str) -> Result<String, u16> {
        match client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await {
            Ok(text) => Ok(text),
            Err(Error::Api(status)) => Err(status.code),
            // Not listening yet.
            Err(_) => Err(0),
        }
    }

    async fn until(&self, path: &str, fits: impl Fn(&str) -> bool) {
        let look = async {
            while !self.get(&self.health, path).await.is_ok_and(|text| fits(&text)) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{path} never fits"));
    }

    async fn leads(&self) -> bool {
        let metrics = self.get(&self.health, "/metrics").await.unwrap();
        metrics.contains("leader_election_master_status{name=\"kube-scheduler\"} 1")
    }
}

/// A configuration with times that a test can wait for.
fn config(server: &Server) -> std::path::PathBuf {
    let kubeconfig = server.kubeconfig("system:kube-scheduler", &server.address);
    server.write(
        "scheduler.yaml",
        &format!(
            "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {{kubeconfig: {}}}
leaderElection: {{leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms}}
",
            kubeconfig.display()
        ),
    )
}

/// Creates a pod and waits until it has a node.
async fn schedule(client: &Client, name: &str) {
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "pause"}]}});
    create::<Pod>(client, pod).await;
    bound(client, name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_takes_over_when_the_leader_is_killed() {
    let server = Server::start().await;
    node(&server.client).await;
    let config = config(&server);
    let first = Process::start(&server, &config, &[]).await;
    let second = Process::start(&server, &config, &[]).await;
    schedule(&server.client, "first").await;
    let (mut leader, standby) = if first.leads().await { (first, second) } else { (second, first) };
    assert!(leader.leads().await && !standby.leads().await, "one of the two works");
    for process in [&leader, &standby] {
        for path in ["/healthz", "/livez", "/readyz"] {
            process.until(path, |answer| answer == "ok").await;
        }
        assert_eq!(process.get(&process.health, "/nothing").await, Err(404));
    }
    let counted = "scheduler_schedule_attempts_total{";
    leader.until("/metrics", |metrics| metrics.contains(counted) && metrics.ends_with("# EOF\n")).await;
    let verbose = standby.get(&standby.health, "/readyz?verbose").await.unwrap();
    assert_eq!(verbose, "[+]sched-handler-sync ok\nreadyz check passed\n");

    // SIGKILL: the lease is not given back.
    leader.child.kill().unwrap();
    leader.child.wait().unwrap();
    schedule(&server.client, "second").await;
    assert!(standby.leads().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_metrics_are_asked_who_they_are_if_somebody_can_tell() {
    let server = Server::start().await;
    let token = async |account: &str| {
        let accounts: Api<ServiceAccount> = Api::namespaced(server.client.clone(), "kube-system");
        let object = from_value(json!({"metadata": {"name": account}})).unwrap();
        accounts.create(&PostParams::default(), &object).await.unwrap();
        let request: TokenRequest = from_value(json!({"spec": {"audiences": []}})).unwrap();
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
        answer.unwrap().status.unwrap().token
    };
    let kubeconfig = server.kubeconfig("system:kube-scheduler", &server.address);
    let gate = format!("--authorization-kubeconfig={}", kubeconfig.display());
    let process = Process::start(&server, &config(&server), &[&gate, "--leader-elect=false"]).await;
    let ask = async |token: Option<&str>, path: &str| {
        process.get(&server.component(process.port, token), path).await.map(|text| text.len() > 1)
    };
    assert_eq!(ask(None, "/readyz").await, Ok(true), "health is no secret");
    for path in ["/metrics", "/configz", "/nothing"] {
        assert_eq!(ask(None, path).await, Err(403), "{path}");
    }
    assert_eq!(ask(Some("made.up.token"), "/metrics").await, Err(401));
    let (stranger, controller) = (token("stranger").await, token("metrics-controller").await);
    assert_eq!(ask(Some(&stranger), "/metrics").await, Err(403));
    assert_eq!(ask(Some(&controller), "/metrics").await, Ok(true));
    assert_eq!(ask(Some(&controller), "/configz").await, Ok(true));
    assert_eq!(ask(Some(&controller), "/nothing").await, Err(404));
    assert_eq!(ask(Some(&stranger), "/version").await, Err(404), "each path is asked about by its own name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_can_be_named_instead_of_the_kubeconfigs() {
    let server = Server::start().await;
    node(&server.client).await;
    // Nobody listens there.
    let kubeconfig =
        server.kubeconfig("system:kube-scheduler", &format!("https://127.0.0.1:{}", free_port()));
    let child = scheduler()
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--master={}", server.address))
        .args(["--secure-port=0", "--leader-elect=false", "--kube-api-qps=5", "--kube-api-burst=7", "--v=0"])
        .spawn()
        .unwrap();
    let _process = Process { child, health: server.client.clone(), port: 0 };
    schedule(&server.client, "p").await;
}

#[test]
fn bad_configurations_are_refused_in_upstreams_words() {
    let dir = tempfile::tempdir().unwrap();
    let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
    for (body, expected) in [
        ("podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
        (
            "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]",
            "profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
        ),
        ("podMaxBackofSeconds: 1", "strict decoding error: unknown field \"podMaxBackofSeconds\""),
    ] {
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, format!("{head}{body}")).unwrap();
        let refused = output(&["--config", path.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(expected), "{}", stderr(&refused));
    }
    for (args, expected) in [
        (&["--config=/nowhere/config.yaml"][..], "open /nowhere/config.yaml: No such file or directory"),
        (
            &["--leader-elect-lease-duration=1s", "--write-config-to=/dev/null"],
            "leaderElection.leaseDuration: Invalid value: \"10s\": must be greater than `RenewDeadline`",
        ),
        (&["--feature-gates=DRADeviceTaints"], "missing bool value for DRADeviceTaints"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&[], "no configuration has been provided"),
    ] {
        let refused = output(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        assert!(stderr(&refused).contains(expected), "{args:?}: {}", stderr(&refused));
    }
}

#[test]
fn the_configuration_is_written_with_its_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("written.yaml");
    let written = format!("--write-config-to={}", path.display());
    let flags = [
        &*written,
        "--leader-elect=false",
        "--kubeconfig=/etc/scheduler.conf",
        "--kube-api-qps=7",
        "--feature-gates=DRADeviceTaints=true,Other=false",
        "--profiling=false",
        "--logging-format=json",
        "-v=1",
    ];
    let done = output(&flags);
    assert!(done.status.success(), "{}", stderr(&done));
    for note in [
        "note: --profiling has no effect: there is no profiler over HTTP",
        "note: --logging-format has no effect",
        "note: the feature gate Other has no effect",
    ] {
        assert!(stderr(&done).contains(note), "{note}: {}", stderr(&done));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    for line in [
        "kind: KubeSchedulerConfiguration\n",
        "  leaderElect: false\n",
        "  kubeconfig: /etc/scheduler.conf\n",
        "      kind: NodeResourcesFitArgs\n",
        "      - name: SchedulingGates\n        weight: 0\n",
        "  schedulerName: default-scheduler\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let settings = Settings::from_yaml(&text, &Registry::default()).unwrap();
    assert!(!settings.leader_election.leader_elect);
    assert_eq!(settings.client_connection.qps, 7.0);
    // What was written is complete: writing it again changes nothing.
    let again = dir.path().join("again.yaml");
    let config = format!("--config={}", path.display());
    let done = output(&[&config, &format!("--write-config-to={}", again.display())]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(std::fs::read_to_string(again).unwrap(), text);
}
