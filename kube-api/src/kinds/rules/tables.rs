//! The defaults that are plain facts.

use super::defaults::Defaults;

/// Relative to a pod's or template's `spec`.
pub(super) const POD_SPEC: &str = r#"
    dnsPolicy = "ClusterFirst"
    restartPolicy = "Always"
    securityContext = {}
    terminationGracePeriodSeconds = 30
    schedulerName = "default-scheduler"
    {containers,initContainers,ephemeralContainers}[].terminationMessagePath = "/dev/termination-log"
    {containers,initContainers,ephemeralContainers}[].terminationMessagePolicy = "File"
    {containers,initContainers,ephemeralContainers}[].resources = {}
    {containers,initContainers,ephemeralContainers}[].ports[].protocol = "TCP"
    {containers,initContainers,ephemeralContainers}[].env[].valueFrom.fieldRef.apiVersion = "v1"
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.timeoutSeconds ~= 1
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.periodSeconds ~= 10
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.successThreshold ~= 1
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.failureThreshold ~= 3
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.httpGet.path = "/"
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.httpGet.scheme = "HTTP"
    {containers,initContainers}[].{livenessProbe,readinessProbe,startupProbe}.grpc.service = ""
    {containers,initContainers}[].lifecycle.{postStart,preStop}.httpGet.path = "/"
    {containers,initContainers}[].lifecycle.{postStart,preStop}.httpGet.scheme = "HTTP"
    volumes[].{secret,configMap,downwardAPI,projected}.defaultMode = 420
    volumes[].downwardAPI.items[].fieldRef.apiVersion = "v1"
    volumes[].projected.sources[].downwardAPI.items[].fieldRef.apiVersion = "v1"
    volumes[].projected.sources[].serviceAccountToken.expirationSeconds = 3600
    volumes[].hostPath.type = ""
    volumes[].ephemeral.volumeClaimTemplate.spec.volumeMode = "Filesystem"
    volumes[].iscsi.iscsiInterface = "default"
    volumes[].rbd.pool = "rbd"
    volumes[].rbd.user = "admin"
    volumes[].rbd.keyring = "/etc/ceph/keyring"
    volumes[].azureDisk.cachingMode = "ReadWrite"
    volumes[].azureDisk.fsType = "ext4"
    volumes[].azureDisk.kind = "Shared"
    volumes[].azureDisk.readOnly = false
    volumes[].scaleIO.storageMode = "ThinProvisioned"
    volumes[].scaleIO.fsType = "xfs"
"#;

const POD: &str = "spec!.enableServiceLinks = true";

const SERVICE: &str = r#"
    spec!.sessionAffinity = "None"
    spec(sessionAffinity=ClientIP).sessionAffinityConfig!.clientIP!.timeoutSeconds = 10800
    spec!.type = "ClusterIP"
    spec.ports[].protocol = "TCP"
    spec(type=NodePort).{internalTrafficPolicy,externalTrafficPolicy} = "Cluster"
    spec(type=LoadBalancer).{internalTrafficPolicy,externalTrafficPolicy} = "Cluster"
    spec(type=ClusterIP).internalTrafficPolicy = "Cluster"
    spec(type=LoadBalancer).allocateLoadBalancerNodePorts = true
"#;

const DEPLOYMENT: &str = r#"
    spec!.replicas = 1
    spec.strategy!.type = "RollingUpdate"
    spec.strategy(type=RollingUpdate).rollingUpdate!.{maxUnavailable,maxSurge} = "25%"
    spec.revisionHistoryLimit = 10
    spec.progressDeadlineSeconds = 600
"#;

const DAEMON_SET: &str = r#"
    spec!.updateStrategy!.type = "RollingUpdate"
    spec.updateStrategy(type=RollingUpdate).rollingUpdate!.maxUnavailable = 1
    spec.updateStrategy(type=RollingUpdate).rollingUpdate!.maxSurge = 0
    spec.revisionHistoryLimit = 10
"#;

const STATEFUL_SET: &str = r#"
    spec!.podManagementPolicy = "OrderedReady"
    spec.updateStrategy!.type = "RollingUpdate"
    spec.updateStrategy(type=RollingUpdate).rollingUpdate!.partition = 0
    spec.persistentVolumeClaimRetentionPolicy!.{whenDeleted,whenScaled} = "Retain"
    spec.replicas = 1
    spec.revisionHistoryLimit = 10
    spec.volumeClaimTemplates[].spec.volumeMode = "Filesystem"
    spec.volumeClaimTemplates[].status!.phase = "Pending"
"#;

const JOB: &str = r#"
    spec!.parallelism = 1
    spec.backoffLimit = 6
    spec.completionMode = "NonIndexed"
    spec.suspend = false
    spec.podReplacementPolicy = "TerminatingOrFailed"
"#;

const CRON_JOB: &str = r#"
    spec!.concurrencyPolicy = "Allow"
    spec.suspend = false
    spec.successfulJobsHistoryLimit = 3
    spec.failedJobsHistoryLimit = 1
"#;

const CSI_DRIVER: &str = r#"
    spec!.attachRequired = true
    spec.podInfoOnMount = false
    spec.storageCapacity = false
    spec.requiresRepublish = false
    spec.seLinuxMount = false
    spec.fsGroupPolicy = "ReadWriteOnceWithFSType"
    spec.volumeLifecycleModes = ["Persistent"]
"#;

const CPU_METRIC: &str = r#"
    spec!.minReplicas = 1
    spec.metrics = [{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}]
"#;

/// The second is the first in a template's `spec`.
const DEVICE_CLAIM: [&str; 2] = [
    r#"
    spec.devices.requests[].exactly.allocationMode = "ExactCount"
    spec.devices.requests[].exactly(allocationMode=ExactCount).count ~= 1
    spec.devices.requests[].exactly.tolerations[].operator = "Equal"
    spec.devices.requests[].firstAvailable[].allocationMode = "ExactCount"
    spec.devices.requests[].firstAvailable[](allocationMode=ExactCount).count ~= 1
    spec.devices.requests[].firstAvailable[].tolerations[].operator = "Equal"
"#,
    r#"
    spec.spec.devices.requests[].exactly.allocationMode = "ExactCount"
    spec.spec.devices.requests[].exactly(allocationMode=ExactCount).count ~= 1
    spec.spec.devices.requests[].exactly.tolerations[].operator = "Equal"
    spec.spec.devices.requests[].firstAvailable[].allocationMode = "ExactCount"
    spec.spec.devices.requests[].firstAvailable[](allocationMode=ExactCount).count ~= 1
    spec.spec.devices.requests[].firstAvailable[].tolerations[].operator = "Equal"
"#,
];

/// The plain defaults of a built-in kind.
pub(super) fn defaults(group: &str, kind: &str) -> Defaults {
    Defaults::parse(match (group, kind) {
        ("", "Pod") => POD,
        ("", "Service") => SERVICE,
        ("", "Endpoints") => r#"subsets[].ports[].protocol = "TCP""#,
        ("", "Secret") => r#"type = "Opaque""#,
        ("", "Namespace") => r#"status!.phase = "Active""#,
        ("", "PersistentVolume") => {
            "spec!.persistentVolumeReclaimPolicy = \"Retain\"\nspec.volumeMode = \"Filesystem\"\n\
             status!.phase = \"Pending\"\nspec.hostPath.type = \"\""
        }
        ("", "PersistentVolumeClaim") => "spec!.volumeMode = \"Filesystem\"\nstatus!.phase = \"Pending\"",
        ("", "ReplicationController") | ("apps", "ReplicaSet") => "spec!.replicas = 1",
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "DaemonSet") => DAEMON_SET,
        ("apps", "StatefulSet") => STATEFUL_SET,
        ("batch", "Job") => JOB,
        ("batch", "CronJob") => CRON_JOB,
        ("autoscaling", "HorizontalPodAutoscaler") => CPU_METRIC,
        ("resource.k8s.io", "ResourceClaim") => DEVICE_CLAIM[0],
        ("resource.k8s.io", "ResourceClaimTemplate") => DEVICE_CLAIM[1],
        ("discovery.k8s.io", "EndpointSlice") => "ports[].name = \"\"\nports[].protocol = \"TCP\"",
        ("networking.k8s.io", "NetworkPolicy") => r#"spec.{ingress,egress}[].ports[].protocol = "TCP""#,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            r#"roleRef.apiGroup = "rbac.authorization.k8s.io""#
        }
        ("storage.k8s.io", "StorageClass") => "reclaimPolicy = \"Delete\"\nvolumeBindingMode = \"Immediate\"",
        ("storage.k8s.io", "CSIDriver") => CSI_DRIVER,
        ("scheduling.k8s.io", "PriorityClass") => r#"preemptionPolicy = "PreemptLowerPriority""#,
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_rule() {
        let alternatives = |text: &str| -> usize {
            let names = |part: &str| part.split('}').next().unwrap_or("").split(',').count();
            let path = |line: &str| line.split("= ").next().unwrap_or("").to_owned();
            let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
            lines.map(|l| path(l).split('{').skip(1).map(names).product::<usize>()).sum()
        };
        for text in [
            POD_SPEC,
            POD,
            SERVICE,
            DEPLOYMENT,
            DAEMON_SET,
            STATEFUL_SET,
            JOB,
            CRON_JOB,
            CSI_DRIVER,
            CPU_METRIC,
            DEVICE_CLAIM[0],
            DEVICE_CLAIM[1],
        ] {
            assert_eq!(Defaults::parse(text).len(), alternatives(text), "{text}");
        }
    }
}
