//! The columns of the built-in kinds.

use jiff::Timestamp;
use serde_json::Value;

use super::human_duration;
use super::pod;
use super::printer::{Cell, Heading, Missing};
use super::words::{self, text};

use Cell::{At, By, Count, Since};

pub(super) const NAME: Heading = ("Name", "string", 0, At("/metadata/name", Missing::Text("")));
pub(super) const AGE: Heading = ("Age", "string", 0, Since("/metadata/creationTimestamp"));

const EMPTY: Missing = Missing::Text("");
const NONE: Missing = Missing::Text("<none>");
const UNKNOWN: Missing = Missing::Text("<unknown>");
const UNSET: Missing = Missing::Text("<unset>");

const fn string(name: &'static str, cell: Cell) -> Heading {
    (name, "string", 0, cell)
}

const fn integer(name: &'static str, pointer: &'static str) -> Heading {
    (name, "integer", 0, At(pointer, Missing::Zero))
}

const fn wide(name: &'static str, cell: Cell) -> Heading {
    (name, "string", 1, cell)
}

const CONTAINERS: Heading = wide("Containers", By(|o, _| words::of_containers(o, "/spec/template", "name")));
const IMAGES: Heading = wide("Images", By(|o, _| words::of_containers(o, "/spec/template", "image")));
const SELECTOR: Heading = wide("Selector", By(|o, _| words::selector(o.pointer("/spec/selector"))));

/// The columns of a built-in kind; `None`: name and age only.
pub(super) fn headings(group: &str, kind: &str) -> Option<Vec<Heading>> {
    let found = match group {
        "" => core(kind),
        "apps" => apps(kind),
        "batch" => batch(kind),
        _ => others(kind),
    };
    Some(found).filter(|headings| !headings.is_empty())
}

fn core(kind: &str) -> Vec<Heading> {
    match kind {
        "Pod" => pod::headings(),
        "Node" => node(),
        "Service" => service(),
        "Event" => event(),
        "Namespace" => vec![NAME, string("Status", At("/status/phase", EMPTY)), AGE],
        "ConfigMap" => vec![NAME, string("Data", By(|o, _| words::data_count(o))), AGE],
        "Secret" => vec![NAME, string("Type", At("/type", EMPTY)), string("Data", Count("/data")), AGE],
        "Endpoints" => vec![NAME, string("Endpoints", By(|o, _| words::endpoints(o))), AGE],
        "PersistentVolume" => persistent_volume(),
        "PersistentVolumeClaim" => persistent_volume_claim(),
        "ReplicationController" => replica_columns(),
        "PodTemplate" => vec![
            NAME,
            string("Containers", By(|o, _| words::of_containers(o, "/template", "name"))),
            string("Images", By(|o, _| words::of_containers(o, "/template", "image"))),
            string("Pod Labels", By(|o, _| words::labels(o.pointer("/template/metadata/labels")))),
        ],
        "ResourceQuota" => vec![
            NAME,
            string("Request", By(|o, _| words::quota(o, false))),
            string("Limit", By(|o, _| words::quota(o, true))),
            AGE,
        ],
        _ => Vec::new(),
    }
}

fn node() -> Vec<Heading> {
    vec![
        NAME,
        string("Status", By(|o, _| words::node_status(o))),
        string("Roles", By(|o, _| words::node_roles(o))),
        AGE,
        string("Version", At("/status/nodeInfo/kubeletVersion", EMPTY)),
        wide("Internal-IP", By(|o, _| words::node_address(o, "InternalIP"))),
        wide("External-IP", By(|o, _| words::node_address(o, "ExternalIP"))),
        wide("OS-Image", At("/status/nodeInfo/osImage", UNKNOWN)),
        wide("Kernel-Version", At("/status/nodeInfo/kernelVersion", UNKNOWN)),
        wide("Container-Runtime", At("/status/nodeInfo/containerRuntimeVersion", UNKNOWN)),
    ]
}

fn service() -> Vec<Heading> {
    vec![
        NAME,
        string("Type", At("/spec/type", EMPTY)),
        string("Cluster-IP", At("/spec/clusterIP", NONE)),
        string("External-IP", By(|o, _| words::external_address(o))),
        string("Port(s)", By(|o, _| words::service_ports(o))),
        AGE,
        wide("Selector", By(|o, _| words::labels(o.pointer("/spec/selector")))),
    ]
}

fn event() -> Vec<Heading> {
    vec![
        string("Last Seen", By(words::event_last_seen)),
        string("Type", At("/type", EMPTY)),
        string("Reason", At("/reason", EMPTY)),
        string("Object", By(|o, _| words::event_object(o))),
        wide("Subobject", At("/involvedObject/fieldPath", EMPTY)),
        wide("Source", By(|o, _| words::event_source(o))),
        string("Message", By(|o, _| text(o, "/message").trim().into())),
        wide("First Seen", By(words::event_first_seen)),
        wide("Count", By(|o, _| words::event_count(o))),
        wide("Name", At("/metadata/name", EMPTY)),
    ]
}

fn persistent_volume() -> Vec<Heading> {
    vec![
        NAME,
        string("Capacity", At("/spec/capacity/storage", Missing::Text("0"))),
        string("Access Modes", By(|o, _| words::access_modes(o, "/spec/accessModes"))),
        string("Reclaim Policy", At("/spec/persistentVolumeReclaimPolicy", EMPTY)),
        string("Status", By(|o, _| words::phase(o))),
        string("Claim", By(|o, _| words::claim(o))),
        string("StorageClass", At("/spec/storageClassName", EMPTY)),
        string("VolumeAttributesClass", At("/spec/volumeAttributesClassName", UNSET)),
        string("Reason", At("/status/reason", EMPTY)),
        AGE,
        wide("VolumeMode", At("/spec/volumeMode", UNSET)),
    ]
}

fn persistent_volume_claim() -> Vec<Heading> {
    vec![
        NAME,
        string("Status", By(|o, _| words::phase(o))),
        string("Volume", At("/spec/volumeName", EMPTY)),
        string("Capacity", At("/status/capacity/storage", EMPTY)),
        string("Access Modes", By(|o, _| words::access_modes(o, "/status/accessModes"))),
        string("StorageClass", At("/spec/storageClassName", EMPTY)),
        string("VolumeAttributesClass", At("/spec/volumeAttributesClassName", UNSET)),
        AGE,
        wide("VolumeMode", At("/spec/volumeMode", UNSET)),
    ]
}

fn replica_columns() -> Vec<Heading> {
    vec![
        NAME,
        integer("Desired", "/spec/replicas"),
        integer("Current", "/status/replicas"),
        integer("Ready", "/status/readyReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ]
}

fn apps(kind: &str) -> Vec<Heading> {
    let ready = string("Ready", By(|o, _| words::ratio(o, "/status/readyReplicas", "/spec/replicas")));
    match kind {
        "Deployment" => vec![
            NAME,
            ready,
            string("Up-to-date", At("/status/updatedReplicas", Missing::Zero)),
            string("Available", At("/status/availableReplicas", Missing::Zero)),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        "ReplicaSet" => replica_columns(),
        "StatefulSet" => vec![NAME, ready, AGE, CONTAINERS, IMAGES],
        "DaemonSet" => vec![
            NAME,
            integer("Desired", "/status/desiredNumberScheduled"),
            integer("Current", "/status/currentNumberScheduled"),
            integer("Ready", "/status/numberReady"),
            integer("Up-to-date", "/status/updatedNumberScheduled"),
            integer("Available", "/status/numberAvailable"),
            string("Node Selector", By(|o, _| words::labels(o.pointer("/spec/template/spec/nodeSelector")))),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        "ControllerRevision" => vec![
            NAME,
            string("Controller", By(|o, _| words::controller(o))),
            string("Revision", At("/revision", Missing::Zero)),
            AGE,
        ],
        _ => Vec::new(),
    }
}

fn batch(kind: &str) -> Vec<Heading> {
    match kind {
        "Job" => vec![
            NAME,
            string("Status", By(|o, _| words::job_status(o))),
            string("Completions", By(|o, _| words::job_completions(o))),
            string("Duration", By(words::job_duration)),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        "CronJob" => vec![
            NAME,
            string("Schedule", At("/spec/schedule", EMPTY)),
            string("Timezone", At("/spec/timeZone", NONE)),
            ("Suspend", "boolean", 0, By(|o, _| words::cron_suspended(o))),
            ("Active", "integer", 0, Count("/status/active")),
            string("Last Schedule", By(words::cron_last)),
            AGE,
            wide("Containers", By(|o, _| words::of_containers(o, "/spec/jobTemplate/spec/template", "name"))),
            wide("Images", By(|o, _| words::of_containers(o, "/spec/jobTemplate/spec/template", "image"))),
            wide("Selector", By(|o, _| words::selector(o.pointer("/spec/jobTemplate/spec/selector")))),
        ],
        _ => Vec::new(),
    }
}

fn others(kind: &str) -> Vec<Heading> {
    match kind {
        "Event" => event(),
        "EndpointSlice" => vec![
            NAME,
            string("AddressType", At("/addressType", EMPTY)),
            string("Ports", By(|o, _| words::slice_ports(o))),
            string("Endpoints", By(|o, _| words::slice_endpoints(o))),
            AGE,
        ],
        "Lease" => vec![NAME, string("Holder", At("/spec/holderIdentity", EMPTY)), AGE],
        "HorizontalPodAutoscaler" => vec![
            NAME,
            string("Reference", By(|o, _| words::reference(o, "/spec/scaleTargetRef"))),
            string("Targets", By(|o, _| words::autoscaler_targets(o))),
            string("MinPods", At("/spec/minReplicas", UNSET)),
            string("MaxPods", At("/spec/maxReplicas", Missing::Zero)),
            string("Replicas", At("/status/currentReplicas", Missing::Zero)),
            AGE,
        ],
        "NetworkPolicy" => vec![
            NAME,
            string("Pod-Selector", By(|o, _| words::selector(o.pointer("/spec/podSelector")))),
            AGE,
        ],
        "Ingress" => vec![
            NAME,
            string("Class", At("/spec/ingressClassName", NONE)),
            string("Hosts", By(|o, _| words::ingress_hosts(o))),
            string("Address", By(|o, _| words::ingress_addresses(o).into())),
            string("Ports", By(|o, _| words::ingress_ports(o))),
            AGE,
        ],
        "IngressClass" => {
            vec![
                NAME,
                string("Controller", At("/spec/controller", EMPTY)),
                string("Parameters", By(|o, _| words::parameters(o))),
                AGE,
            ]
        }
        "RuntimeClass" => vec![NAME, string("Handler", At("/handler", EMPTY)), AGE],
        "CertificateSigningRequest" => vec![
            NAME,
            AGE,
            string("SignerName", At("/spec/signerName", NONE)),
            string("Requestor", At("/spec/username", EMPTY)),
            string("RequestedDuration", By(requested_duration)),
            string("Condition", By(|o, _| words::request_condition(o))),
        ],
        "PodDisruptionBudget" => vec![
            NAME,
            string("Min Available", At("/spec/minAvailable", Missing::Text("N/A"))),
            string("Max Unavailable", At("/spec/maxUnavailable", Missing::Text("N/A"))),
            integer("Allowed Disruptions", "/status/disruptionsAllowed"),
            AGE,
        ],
        _ => policy(kind),
    }
}

fn policy(kind: &str) -> Vec<Heading> {
    match kind {
        "RoleBinding" | "ClusterRoleBinding" => vec![
            NAME,
            string("Role", By(|o, _| words::reference(o, "/roleRef"))),
            AGE,
            wide("Users", By(|o, _| words::subjects(o, "User"))),
            wide("Groups", By(|o, _| words::subjects(o, "Group"))),
            wide("ServiceAccounts", By(|o, _| words::subjects(o, "ServiceAccount"))),
        ],
        "Role" | "ClusterRole" => {
            vec![NAME, ("Created At", "date", 0, At("/metadata/creationTimestamp", EMPTY))]
        }
        "StorageClass" => vec![
            string("Name", By(|o, _| words::storage_class_name(o))),
            string("Provisioner", At("/provisioner", EMPTY)),
            string("ReclaimPolicy", At("/reclaimPolicy", Missing::Text("Delete"))),
            string("VolumeBindingMode", At("/volumeBindingMode", Missing::Text("Immediate"))),
            string("AllowVolumeExpansion", At("/allowVolumeExpansion", Missing::False)),
            AGE,
        ],
        "CSINode" => vec![NAME, ("Drivers", "integer", 0, Count("/spec/drivers")), AGE],
        "CSIDriver" => vec![
            NAME,
            ("AttachRequired", "boolean", 0, At("/spec/attachRequired", Missing::False)),
            ("PodInfoOnMount", "boolean", 0, At("/spec/podInfoOnMount", Missing::False)),
            ("StorageCapacity", "boolean", 0, At("/spec/storageCapacity", Missing::False)),
            string(
                "TokenRequests",
                By(|o, _| words::joined(o, "/spec/tokenRequests", "/audience", "<unset>")),
            ),
            ("RequiresRepublish", "boolean", 0, At("/spec/requiresRepublish", Missing::False)),
            string("Modes", By(|o, _| words::joined(o, "/spec/volumeLifecycleModes", "", "<none>"))),
            AGE,
        ],
        "VolumeAttachment" => vec![
            NAME,
            string("Attacher", At("/spec/attacher", EMPTY)),
            string("PV", At("/spec/source/persistentVolumeName", EMPTY)),
            string("Node", At("/spec/nodeName", EMPTY)),
            ("Attached", "boolean", 0, At("/status/attached", Missing::False)),
            AGE,
        ],
        "PriorityClass" => vec![
            NAME,
            integer("Value", "/value"),
            ("Global-Default", "boolean", 0, At("/globalDefault", Missing::False)),
            AGE,
            wide("PreemptionPolicy", At("/preemptionPolicy", EMPTY)),
        ],
        _ => Vec::new(),
    }
}

fn requested_duration(object: &Value, _now: Timestamp) -> Value {
    let seconds = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
    seconds.map_or_else(|| "<none>".into(), |s| human_duration(s).into())
}
