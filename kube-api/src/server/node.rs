//! Requests that the agent of a pod's node answers: logs, exec, attach, port-forward.

use std::fmt::Write;

use futures::StreamExt;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyStream;
use serde_json::Value;

use super::Inner;
use super::call::{Call, Incoming};
use crate::body::Body;
use crate::error::{Error, Result, Target};
use crate::node::{NodeAddress, NodeError, forward};
use crate::object::text;
use crate::request::{Query, RequestInfo, Verb};

/// Whether a node answers it.
pub(super) fn is_for_node(info: &RequestInfo) -> bool {
    const PARTS: [&str; 4] = ["log", "exec", "attach", "portforward"];
    let reads = info.subresource != "log" || info.verb == Verb::Get;
    info.is_resource
        && info.group.is_empty()
        && info.resource == "pods"
        && PARTS.contains(&info.subresource.as_str())
        && !info.name.is_empty()
        && reads
}

impl Inner {
    pub(super) async fn node_request(&self, call: Call, body: Incoming) -> Result<Response<Body>> {
        let Call { info, parts, .. } = call;
        let (namespace, name) = (&info.namespace, &info.name);
        let pod = self.registry.lookup("", "pods", namespace, name).await?;
        let pod = pod.ok_or_else(|| Error::NotFound(Target::new("", "pods", name)))?;
        let path = agent_path(&info, &pod, &Query::parse(parts.uri.query().unwrap_or_default()), &parts)?;
        let node_name = text(&pod, "/spec/nodeName");
        if node_name.is_empty() {
            return Err(Error::bad_request(format!("pod {name} does not have a host assigned")));
        }
        let node = self.registry.lookup("", "nodes", "", node_name).await?;
        let node = node.ok_or_else(|| Error::NotFound(Target::new("", "nodes", node_name)))?;
        let connector = self.nodes.as_deref().ok_or_else(|| {
            Error::Unavailable("this server has no way to reach the agents of nodes".to_owned())
        })?;
        let request = Request::from_parts(parts, body);
        let response =
            forward(connector, &address(&node, node_name)?, &path, request).await.map_err(refused)?;
        let (parts, body) = response.into_parts();
        let frames = BodyStream::new(body).filter_map(|frame| async move { frame.ok()?.into_data().ok() });
        Ok(Response::from_parts(parts, Body::stream(frames)))
    }
}

fn refused(error: NodeError) -> Error {
    Error::Internal(error.to_string())
}

/// Where the agent of a node listens.
fn address(node: &Value, name: &str) -> Result<NodeAddress> {
    let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
    let of_type = |wanted: &str| addresses.into_iter().flatten().find(|a| a["type"] == wanted);
    let host = of_type("InternalIP").or_else(|| of_type("Hostname")).or_else(|| of_type("ExternalIP"));
    let host = host.and_then(|a| a["address"].as_str());
    let host = host.ok_or_else(|| {
        Error::internal(format!("no preferred addresses found; known addresses: [] ({name})"))
    })?;
    let port = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
    let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0).unwrap_or(10250);
    Ok(NodeAddress { name: name.to_owned(), host: host.to_owned(), port })
}

fn agent_path(info: &RequestInfo, pod: &Value, query: &Query<'_>, parts: &Parts) -> Result<String> {
    let (namespace, name) = (&info.namespace, &info.name);
    if info.subresource == "portforward" {
        return Ok(with_query(format!("/portForward/{namespace}/{name}"), query, &["port", "ports"]));
    }
    let container = container(pod, name, query.text("container"))?;
    match info.subresource.as_str() {
        "log" => {
            let names = [
                "follow",
                "previous",
                "sinceSeconds",
                "sinceTime",
                "timestamps",
                "tailLines",
                "limitBytes",
                "stream",
            ];
            Ok(with_query(format!("/containerLogs/{namespace}/{name}/{container}"), query, &names))
        }
        session => {
            if session == "exec" && query.get("command").is_none() {
                return Err(Error::bad_request("you must specify at least one command for the container"));
            }
            if !parts.headers.contains_key(http::header::UPGRADE) {
                return Err(Error::bad_request("Upgrade request required"));
            }
            let path = format!("/{session}/{namespace}/{name}/{container}");
            // The agent's own parameters differ in name from the API's.
            let mut path = path + "?";
            for (ours, theirs) in
                [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")]
            {
                if query.flag(ours) {
                    path.push_str(&format!("{theirs}=1&"));
                }
            }
            for command in query.all("command") {
                path.push_str("command=");
                escape(command, &mut path);
                path.push('&');
            }
            Ok(path.trim_end_matches(['&', '?']).to_owned())
        }
    }
}

fn with_query(mut path: String, query: &Query<'_>, names: &[&str]) -> String {
    let mut separator = '?';
    for name in names {
        for value in query.all(name) {
            path.push(separator);
            path.push_str(name);
            path.push('=');
            escape(value, &mut path);
            separator = '&';
        }
    }
    path
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The container meant: the one named, the annotated default, or the only one.
fn container(pod: &Value, pod_name: &str, asked: &str) -> Result<String> {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let names_of = |list: &str| -> Vec<&str> {
        let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        containers.into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
    };
    if !asked.is_empty() {
        if lists.iter().any(|list| names_of(list).contains(&asked)) {
            return Ok(asked.to_owned());
        }
        return Err(Error::bad_request(format!("container {asked} is not valid for pod {pod_name}")));
    }
    let annotated = text(pod, "/metadata/annotations/kubectl.kubernetes.io~1default-container");
    let containers = names_of("containers");
    if containers.contains(&annotated) {
        return Ok(annotated.to_owned());
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        several => {
            let init = names_of("initContainers");
            let mut message = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                several.join(" ")
            );
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Error::BadRequest(message))
        }
    }
}
