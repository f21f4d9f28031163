//! The rows of the built-in kinds.

use std::borrow::Cow;
use std::sync::Arc;

use super::kind::Text;
use super::names::NameRule;
use super::strategy::{Plain, Strategy};
use super::{Kind, Scope, SelectableField, StorageKey, Subresource, rules};
use crate::schema::{self, SchemaRef};
use crate::table::Printer;

/// What is special about a kind, one letter each: `C` cluster-scoped, `G` counts generations, `V` virtual (create only),
/// `L` names are RFC 1123 labels, `S` names are RFC 1035 labels, `P` names are path segments, `D` no deletecollection.
type Flags = &'static str;

/// Group/version, kind, plural, short names, categories, flags, subresources, selectable fields.
type Row =
    (&'static str, &'static str, &'static str, &'static str, &'static str, Flags, &'static str, &'static str);

const POD_PARTS: &str =
    "attach binding ephemeralcontainers eviction exec log portforward proxy resize status";
const POD_FIELDS: &str = "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName \
    spec.hostNetwork:false status.phase status.podIP status.nominatedNodeName";
const EVENT_FIELDS: &str = "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid \
    involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent \
    source=source.component type";
const EVENT_V1_FIELDS: &str = "regarding.kind=involvedObject.kind regarding.namespace=involvedObject.namespace \
    regarding.name=involvedObject.name regarding.uid=involvedObject.uid \
    regarding.apiVersion=involvedObject.apiVersion regarding.resourceVersion=involvedObject.resourceVersion \
    regarding.fieldPath=involvedObject.fieldPath reason reportingController=reportingComponent type";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("v1", "Binding", "bindings", "", "", "V", "", ""),
    ("v1", "ConfigMap", "configmaps", "cm", "", "", "", ""),
    ("v1", "Endpoints", "endpoints", "ep", "", "", "", ""),
    ("v1", "Event", "events", "ev", "", "", "", EVENT_FIELDS),
    ("v1", "LimitRange", "limitranges", "limits", "", "", "", ""),
    ("v1", "Namespace", "namespaces", "ns", "", "CLD", "finalize status", "status.phase"),
    ("v1", "Node", "nodes", "no", "", "C", "proxy status", "spec.unschedulable:false"),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "", "", "status", ""),
    ("v1", "PersistentVolume", "persistentvolumes", "pv", "", "C", "status", ""),
    ("v1", "Pod", "pods", "po", "all", "G", POD_PARTS, POD_FIELDS),
    ("v1", "PodTemplate", "podtemplates", "", "", "G", "", ""),
    ("v1", "ReplicationController", "replicationcontrollers", "rc", "all", "G", "scale status", "status.replicas:0"),
    ("v1", "ResourceQuota", "resourcequotas", "quota", "", "", "status", ""),
    ("v1", "Secret", "secrets", "", "", "", "", "type"),
    ("v1", "ServiceAccount", "serviceaccounts", "sa", "", "", "token", ""),
    ("v1", "Service", "services", "svc", "all", "S", "proxy status", "spec.clusterIP spec.type"),
    ("apps/v1", "ControllerRevision", "controllerrevisions", "", "", "", "", ""),
    ("apps/v1", "DaemonSet", "daemonsets", "ds", "all", "G", "status", ""),
    ("apps/v1", "Deployment", "deployments", "deploy", "all", "G", "scale status", ""),
    ("apps/v1", "ReplicaSet", "replicasets", "rs", "all", "G", "scale status", "status.replicas:0"),
    ("apps/v1", "StatefulSet", "statefulsets", "sts", "all", "G", "scale status", "status.successful"),
    ("events.k8s.io/v1", "Event", "events", "ev", "", "", "", EVENT_V1_FIELDS),
    ("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", "", "", "CV", "", ""),
    ("authentication.k8s.io/v1", "TokenReview", "tokenreviews", "", "", "CV", "", ""),
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "", "", "V", "", ""),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "", "", "CV", "", ""),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "", "", "CV", "", ""),
    ("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", "", "", "CV", "", ""),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "all", "", "status", ""),
    ("autoscaling/v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "all", "", "status", ""),
    ("batch/v1", "CronJob", "cronjobs", "cj", "all", "G", "status", ""),
    ("batch/v1", "Job", "jobs", "", "all", "G", "status", "status.successful=status.succeeded:0"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", "csr", "", "C", "approval status", "spec.signerName"),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", "", "", "CG", "", ""),
    ("networking.k8s.io/v1", "Ingress", "ingresses", "ing", "", "G", "status", ""),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "netpol", "", "G", "", ""),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "", "G", "status", ""),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", "", "", "CP", "", ""),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", "", "", "CP", "", ""),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", "", "", "P", "", ""),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", "", "", "P", "", ""),
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers", "", "", "C", "", ""),
    ("storage.k8s.io/v1", "CSINode", "csinodes", "", "", "C", "", ""),
    ("storage.k8s.io/v1", "CSIStorageCapacity", "csistoragecapacities", "", "", "", "", ""),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", "sc", "", "C", "", ""),
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", "", "", "C", "status", ""),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", "pc", "", "CG", "", ""),
    ("scheduling.k8s.io/v1alpha1", "Workload", "workloads", "", "", "G", "", ""),
    ("coordination.k8s.io/v1", "Lease", "leases", "", "", "", "", ""),
    ("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", "", "", "C", "", ""),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "", "", "G", "", ""),
    ("resource.k8s.io/v1", "DeviceClass", "deviceclasses", "", "", "CG", "", ""),
    ("resource.k8s.io/v1", "ResourceClaim", "resourceclaims", "", "", "", "status", ""),
    ("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates", "", "", "", "", ""),
    ("resource.k8s.io/v1", "ResourceSlice", "resourceslices", "", "", "CG", "", "spec.driver spec.nodeName"),
];

/// Subresource, verbs, group/version and kind; `=` is the kind of the parent.
const PARTS: &[(&str, &str, &str, &str)] = &[
    ("approval", "get patch update", "=", "="),
    ("attach", "create get", "v1", "PodAttachOptions"),
    ("binding", "create", "v1", "Binding"),
    ("ephemeralcontainers", "get patch update", "=", "="),
    ("eviction", "create", "policy/v1", "Eviction"),
    ("exec", "create get", "v1", "PodExecOptions"),
    ("finalize", "update", "=", "="),
    ("log", "get", "=", "="),
    ("portforward", "create get", "v1", "PodPortForwardOptions"),
    ("proxy", "create delete get patch update", "v1", "ProxyOptions"),
    ("resize", "get patch update", "=", "="),
    ("scale", "get patch update", "autoscaling/v1", "Scale"),
    ("status", "get patch update", "=", "="),
    ("token", "create", "authentication.k8s.io/v1", "TokenRequest"),
];

const VERBS: &str = "create delete deletecollection get list patch update watch";

/// The kinds of Kubernetes itself, in the order of discovery.
pub(super) fn builtin() -> Vec<Kind> {
    ROWS.iter().filter_map(kind).collect()
}

fn words(text: &'static str) -> Vec<Text> {
    text.split_whitespace().map(Cow::Borrowed).collect()
}

fn split_version(text: &'static str) -> (&'static str, &'static str) {
    text.split_once('/').unwrap_or(("", text))
}

/// The package of a group in definition names: `rbac.authorization.k8s.io` is `rbac`.
fn definition(group: &str, version: &str, kind: &str) -> Option<SchemaRef> {
    let package = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) };
    schema::builtin(&format!("io.k8s.api.{package}.{version}.{kind}"))
}

fn kind(row: &Row) -> Option<Kind> {
    let (group_version, kind, plural, short, categories, flags, parts, fields) = *row;
    let (group, version) = split_version(group_version);
    let has = |flag| flags.contains(flag);
    let mut verbs = words(if has('V') { "create" } else { VERBS });
    verbs.retain(|verb| !(has('D') && verb == "deletecollection"));
    let fields = fields.split_whitespace().map(field).collect();
    Some(Kind {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        short_names: words(short),
        categories: words(categories),
        scope: if has('C') { Scope::Cluster } else { Scope::Namespaced },
        verbs,
        subresources: parts.split_whitespace().filter_map(|name| part(name, group, version, kind)).collect(),
        schema: definition(group, version, kind)?,
        fields,
        storage: storage(group, version, kind, plural),
        is_virtual: has('V'),
        generation: has('G'),
        name_rule: name_rule(flags),
        printer: Printer::builtin(group, kind),
        strategy: rules::strategy(group, kind).unwrap_or_else(|| -> Arc<dyn Strategy> { Arc::new(Plain) }),
    })
}

fn name_rule(flags: Flags) -> NameRule {
    match () {
        () if flags.contains('L') => NameRule::Dns1123Label,
        () if flags.contains('S') => NameRule::Dns1035Label,
        () if flags.contains('P') => NameRule::PathSegment,
        () => NameRule::Dns1123Subdomain,
    }
}

/// Versions that share their objects name one of them.
fn storage(group: &'static str, version: &'static str, kind: &str, plural: &'static str) -> StorageKey {
    let (group, version) = match (group, kind) {
        ("events.k8s.io", "Event") => ("", "v1"),
        ("autoscaling", _) => ("autoscaling", "v2"),
        _ => (group, version),
    };
    StorageKey { group: group.into(), plural: plural.into(), version: version.into() }
}

/// `name` or `name=path`, and `:value` if what is absent is not the empty text.
fn field(text: &'static str) -> SelectableField {
    let (text, absent) = text.split_once(':').unwrap_or((text, ""));
    let (name, path) = text.split_once('=').unwrap_or((text, text));
    let pointer = format!("/{}", path.replace('.', "/")).into();
    SelectableField { name: name.into(), pointer, absent: absent.into() }
}

fn part(name: &str, group: &'static str, version: &'static str, parent: &'static str) -> Option<Subresource> {
    let (name, verbs, group_version, kind) = PARTS.iter().find(|(n, ..)| *n == name)?;
    let (group, version) =
        if *group_version == "=" { (group, version) } else { split_version(group_version) };
    let kind: Text = match *kind {
        "=" => parent.into(),
        "ProxyOptions" => format!("{parent}ProxyOptions").into(),
        kind => kind.into(),
    };
    Some(Subresource {
        name: (*name).into(),
        verbs: words(verbs),
        group: group.into(),
        version: version.into(),
        kind,
    })
}
