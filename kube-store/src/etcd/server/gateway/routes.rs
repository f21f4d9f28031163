//! Which path is which method.

use super::messages as m;
use super::schema::Method;

/// What paths begin with, and what they began with before.
const PREFIXES: [&str; 2] = ["/v3/", "/v3beta/"];

/// Paths behind the prefix, as etcd's proto files have them.
const ROUTES: [(&str, &Method); 51] = [
    ("kv/range", &m::KV_RANGE),
    ("kv/put", &m::KV_PUT),
    ("kv/deleterange", &m::KV_DELETE_RANGE),
    ("kv/txn", &m::KV_TXN),
    ("kv/compaction", &m::KV_COMPACT),
    ("watch", &m::WATCH_WATCH),
    ("lease/grant", &m::LEASE_LEASE_GRANT),
    ("lease/revoke", &m::LEASE_LEASE_REVOKE),
    ("kv/lease/revoke", &m::LEASE_LEASE_REVOKE),
    ("lease/keepalive", &m::LEASE_LEASE_KEEP_ALIVE),
    ("lease/timetolive", &m::LEASE_LEASE_TIME_TO_LIVE),
    ("kv/lease/timetolive", &m::LEASE_LEASE_TIME_TO_LIVE),
    ("lease/leases", &m::LEASE_LEASE_LEASES),
    ("kv/lease/leases", &m::LEASE_LEASE_LEASES),
    ("cluster/member/add", &m::CLUSTER_MEMBER_ADD),
    ("cluster/member/remove", &m::CLUSTER_MEMBER_REMOVE),
    ("cluster/member/update", &m::CLUSTER_MEMBER_UPDATE),
    ("cluster/member/list", &m::CLUSTER_MEMBER_LIST),
    ("cluster/member/promote", &m::CLUSTER_MEMBER_PROMOTE),
    ("maintenance/alarm", &m::MAINTENANCE_ALARM),
    ("maintenance/status", &m::MAINTENANCE_STATUS),
    ("maintenance/defragment", &m::MAINTENANCE_DEFRAGMENT),
    ("maintenance/hash", &m::MAINTENANCE_HASH),
    ("maintenance/hashkv", &m::MAINTENANCE_HASH_KV),
    ("maintenance/snapshot", &m::MAINTENANCE_SNAPSHOT),
    ("maintenance/transfer-leadership", &m::MAINTENANCE_MOVE_LEADER),
    ("maintenance/downgrade", &m::MAINTENANCE_DOWNGRADE),
    ("auth/enable", &m::AUTH_AUTH_ENABLE),
    ("auth/disable", &m::AUTH_AUTH_DISABLE),
    ("auth/status", &m::AUTH_AUTH_STATUS),
    ("auth/authenticate", &m::AUTH_AUTHENTICATE),
    ("auth/user/add", &m::AUTH_USER_ADD),
    ("auth/user/get", &m::AUTH_USER_GET),
    ("auth/user/list", &m::AUTH_USER_LIST),
    ("auth/user/delete", &m::AUTH_USER_DELETE),
    ("auth/user/changepw", &m::AUTH_USER_CHANGE_PASSWORD),
    ("auth/user/grant", &m::AUTH_USER_GRANT_ROLE),
    ("auth/user/revoke", &m::AUTH_USER_REVOKE_ROLE),
    ("auth/role/add", &m::AUTH_ROLE_ADD),
    ("auth/role/get", &m::AUTH_ROLE_GET),
    ("auth/role/list", &m::AUTH_ROLE_LIST),
    ("auth/role/delete", &m::AUTH_ROLE_DELETE),
    ("auth/role/grant", &m::AUTH_ROLE_GRANT_PERMISSION),
    ("auth/role/revoke", &m::AUTH_ROLE_REVOKE_PERMISSION),
    ("lock/lock", &m::LOCK_LOCK),
    ("lock/unlock", &m::LOCK_UNLOCK),
    ("election/campaign", &m::ELECTION_CAMPAIGN),
    ("election/proclaim", &m::ELECTION_PROCLAIM),
    ("election/leader", &m::ELECTION_LEADER),
    ("election/observe", &m::ELECTION_OBSERVE),
    ("election/resign", &m::ELECTION_RESIGN),
];

fn behind_prefix(path: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))
}

/// Whether a path is the gateway's, be there something or not.
pub(in super::super) fn serves(path: &str) -> bool {
    behind_prefix(path).is_some()
}

/// The method of a path.
pub(super) fn find(path: &str) -> Option<&'static Method> {
    let name = behind_prefix(path)?;
    ROUTES.iter().find(|(route, _)| *route == name).map(|(_, method)| *method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_etcds() {
        for (path, method) in [
            ("/v3/kv/range", Some("/etcdserverpb.KV/Range")),
            ("/v3beta/kv/range", Some("/etcdserverpb.KV/Range")),
            ("/v3/kv/lease/leases", Some("/etcdserverpb.Lease/LeaseLeases")),
            ("/v3/lock/unlock", Some("/v3lockpb.Lock/Unlock")),
            ("/v3/election/observe", Some("/v3electionpb.Election/Observe")),
            ("/v3/", None),
            ("/v3/kv", None),
            ("/v3/kv/range/", None),
            ("/v3alpha/kv/range", None),
            ("/kv/range", None),
        ] {
            assert_eq!(find(path).map(|method| method.path), method, "{path}");
        }
        assert!(serves("/v3/other") && !serves("/v3") && !serves("/etcdserverpb.KV/Range"));
    }

    #[test]
    fn every_method_has_a_path() {
        for method in m::METHODS {
            assert!(ROUTES.iter().any(|(_, routed)| routed.path == method.path), "{}", method.path);
        }
    }
}
