use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kube_api::pki::{Identity, Pki, Subject, kubeconfig};

use super::Flags;
use super::control_plane::nth;
use crate::{Failure, machine};

/// The parts that reach the API server with a kubeconfig, by file name and user.
const CLIENTS: [(&str, &str); 3] = [
    ("controller-manager", "system:kube-controller-manager"),
    ("scheduler", "system:kube-scheduler"),
    ("kube-proxy", "system:kube-proxy"),
];

pub(super) fn open(flags: &Flags) -> Result<Pki, Failure> {
    Ok(Pki::open(flags.data_dir.join("pki"), jiff::Timestamp::now())?)
}

/// What the API server serves with.
pub(super) fn api_server(flags: &Flags, pki: &Pki) -> Result<Identity, Failure> {
    let host = machine::host_name();
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        &host,
    ];
    let service_ip = nth(flags.service_cidr, 1).ok_or("the service range has no addresses")?;
    let ips = [flags.node_ip(), IpAddr::from([127, 0, 0, 1]), service_ip];
    Ok(pki.server("apiserver", "kube-apiserver", &names, &ips)?)
}

/// What the API server shows to node agents.
pub(super) fn kubelet_client(pki: &Pki) -> Result<Identity, Failure> {
    let subject = Subject::new("kube-apiserver-kubelet-client").organization("system:masters");
    Ok(pki.client("apiserver-kubelet-client", &subject)?)
}

/// What the node's agent serves with.
pub(super) fn kubelet_serving(pki: &Pki, node: &str, ip: IpAddr) -> Result<Identity, Failure> {
    Ok(pki.server("kubelet", &format!("system:node:{node}"), &[node], &[ip])?)
}

/// Writes the administrator's kubeconfig.
pub(super) fn write_admin(flags: &Flags, pki: &Pki) -> Result<(), Failure> {
    let subject = Subject::new("kubernetes-admin").organization("system:masters");
    write(flags, pki, "admin", &subject, &flags.kubeconfig())
}

/// Writes everything that the roles as separate processes start with.
pub(super) fn write_all(flags: &Flags) -> Result<(), Failure> {
    let pki = open(flags)?;
    let node = machine::host_name();
    api_server(flags, &pki)?;
    kubelet_client(&pki)?;
    kubelet_serving(&pki, &node, flags.node_ip())?;
    write_admin(flags, &pki)?;
    for (file, user) in CLIENTS {
        write(flags, &pki, file, &Subject::new(user), &flags.data_dir.join(format!("{file}.kubeconfig")))?;
    }
    let kubelet = Subject::new(format!("system:node:{node}")).organization("system:nodes");
    write(flags, &pki, "kubelet-client", &kubelet, &flags.data_dir.join("kubelet.kubeconfig"))
}

fn write(flags: &Flags, pki: &Pki, name: &str, subject: &Subject, path: &Path) -> Result<(), Failure> {
    let server = format!("https://127.0.0.1:{}", flags.secure_port);
    let text = kubeconfig(&server, pki.ca_pem(), &pki.client(name, subject)?, name);
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    Ok(std::fs::rename(fresh, path)?)
}
