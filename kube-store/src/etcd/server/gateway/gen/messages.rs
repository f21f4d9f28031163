//! Generated from the proto files: their methods, and their messages as far as these need them.

use super::schema::{Kind, Message, Method, Streams, many, method, one};

#[cfg(test)]
pub(super) const METHODS: &[&Method] = &[
    &KV_RANGE,
    &KV_PUT,
    &KV_DELETE_RANGE,
    &KV_TXN,
    &KV_COMPACT,
    &WATCH_WATCH,
    &LEASE_LEASE_GRANT,
    &LEASE_LEASE_REVOKE,
    &LEASE_LEASE_KEEP_ALIVE,
    &LEASE_LEASE_TIME_TO_LIVE,
    &LEASE_LEASE_LEASES,
    &CLUSTER_MEMBER_ADD,
    &CLUSTER_MEMBER_REMOVE,
    &CLUSTER_MEMBER_UPDATE,
    &CLUSTER_MEMBER_LIST,
    &CLUSTER_MEMBER_PROMOTE,
    &MAINTENANCE_ALARM,
    &MAINTENANCE_STATUS,
    &MAINTENANCE_DEFRAGMENT,
    &MAINTENANCE_HASH,
    &MAINTENANCE_HASH_KV,
    &MAINTENANCE_SNAPSHOT,
    &MAINTENANCE_MOVE_LEADER,
    &MAINTENANCE_DOWNGRADE,
    &AUTH_AUTH_ENABLE,
    &AUTH_AUTH_DISABLE,
    &AUTH_AUTH_STATUS,
    &AUTH_AUTHENTICATE,
    &AUTH_USER_ADD,
    &AUTH_USER_GET,
    &AUTH_USER_LIST,
    &AUTH_USER_DELETE,
    &AUTH_USER_CHANGE_PASSWORD,
    &AUTH_USER_GRANT_ROLE,
    &AUTH_USER_REVOKE_ROLE,
    &AUTH_ROLE_ADD,
    &AUTH_ROLE_GET,
    &AUTH_ROLE_LIST,
    &AUTH_ROLE_DELETE,
    &AUTH_ROLE_GRANT_PERMISSION,
    &AUTH_ROLE_REVOKE_PERMISSION,
    &LOCK_LOCK,
    &LOCK_UNLOCK,
    &ELECTION_CAMPAIGN,
    &ELECTION_PROCLAIM,
    &ELECTION_LEADER,
    &ELECTION_OBSERVE,
    &ELECTION_RESIGN,
];

pub(super) static KV_RANGE: Method =
    method("/etcdserverpb.KV/Range", &RANGE_REQUEST, &RANGE_RESPONSE, Streams::None);
pub(super) static KV_PUT: Method =
    method("/etcdserverpb.KV/Put", &PUT_REQUEST, &PUT_RESPONSE, Streams::None);
pub(super) static KV_DELETE_RANGE: Method =
    method("/etcdserverpb.KV/DeleteRange", &DELETE_RANGE_REQUEST, &DELETE_RANGE_RESPONSE, Streams::None);
pub(super) static KV_TXN: Method =
    method("/etcdserverpb.KV/Txn", &TXN_REQUEST, &TXN_RESPONSE, Streams::None);
pub(super) static KV_COMPACT: Method =
    method("/etcdserverpb.KV/Compact", &COMPACTION_REQUEST, &COMPACTION_RESPONSE, Streams::None);
pub(super) static WATCH_WATCH: Method =
    method("/etcdserverpb.Watch/Watch", &WATCH_REQUEST, &WATCH_RESPONSE, Streams::Both);
pub(super) static LEASE_LEASE_GRANT: Method =
    method("/etcdserverpb.Lease/LeaseGrant", &LEASE_GRANT_REQUEST, &LEASE_GRANT_RESPONSE, Streams::None);
pub(super) static LEASE_LEASE_REVOKE: Method =
    method("/etcdserverpb.Lease/LeaseRevoke", &LEASE_REVOKE_REQUEST, &LEASE_REVOKE_RESPONSE, Streams::None);
pub(super) static LEASE_LEASE_KEEP_ALIVE: Method =
    method("/etcdserverpb.Lease/LeaseKeepAlive", &LEASE_KEEP_ALIVE_REQUEST, &LEASE_KEEP_ALIVE_RESPONSE, Streams::Both);
pub(super) static LEASE_LEASE_TIME_TO_LIVE: Method =
    method("/etcdserverpb.Lease/LeaseTimeToLive", &LEASE_TIME_TO_LIVE_REQUEST, &LEASE_TIME_TO_LIVE_RESPONSE, Streams::None);
pub(super) static LEASE_LEASE_LEASES: Method =
    method("/etcdserverpb.Lease/LeaseLeases", &LEASE_LEASES_REQUEST, &LEASE_LEASES_RESPONSE, Streams::None);
pub(super) static CLUSTER_MEMBER_ADD: Method =
    method("/etcdserverpb.Cluster/MemberAdd", &MEMBER_ADD_REQUEST, &MEMBER_ADD_RESPONSE, Streams::None);
pub(super) static CLUSTER_MEMBER_REMOVE: Method =
    method("/etcdserverpb.Cluster/MemberRemove", &MEMBER_REMOVE_REQUEST, &MEMBER_REMOVE_RESPONSE, Streams::None);
pub(super) static CLUSTER_MEMBER_UPDATE: Method =
    method("/etcdserverpb.Cluster/MemberUpdate", &MEMBER_UPDATE_REQUEST, &MEMBER_UPDATE_RESPONSE, Streams::None);
pub(super) static CLUSTER_MEMBER_LIST: Method =
    method("/etcdserverpb.Cluster/MemberList", &MEMBER_LIST_REQUEST, &MEMBER_LIST_RESPONSE, Streams::None);
pub(super) static CLUSTER_MEMBER_PROMOTE: Method =
    method("/etcdserverpb.Cluster/MemberPromote", &MEMBER_PROMOTE_REQUEST, &MEMBER_PROMOTE_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_ALARM: Method =
    method("/etcdserverpb.Maintenance/Alarm", &ALARM_REQUEST, &ALARM_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_STATUS: Method =
    method("/etcdserverpb.Maintenance/Status", &STATUS_REQUEST, &STATUS_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_DEFRAGMENT: Method =
    method("/etcdserverpb.Maintenance/Defragment", &DEFRAGMENT_REQUEST, &DEFRAGMENT_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_HASH: Method =
    method("/etcdserverpb.Maintenance/Hash", &HASH_REQUEST, &HASH_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_HASH_KV: Method =
    method("/etcdserverpb.Maintenance/HashKV", &HASH_KV_REQUEST, &HASH_KV_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_SNAPSHOT: Method =
    method("/etcdserverpb.Maintenance/Snapshot", &SNAPSHOT_REQUEST, &SNAPSHOT_RESPONSE, Streams::Down);
pub(super) static MAINTENANCE_MOVE_LEADER: Method =
    method("/etcdserverpb.Maintenance/MoveLeader", &MOVE_LEADER_REQUEST, &MOVE_LEADER_RESPONSE, Streams::None);
pub(super) static MAINTENANCE_DOWNGRADE: Method =
    method("/etcdserverpb.Maintenance/Downgrade", &DOWNGRADE_REQUEST, &DOWNGRADE_RESPONSE, Streams::None);
pub(super) static AUTH_AUTH_ENABLE: Method =
    method("/etcdserverpb.Auth/AuthEnable", &AUTH_ENABLE_REQUEST, &AUTH_ENABLE_RESPONSE, Streams::None);
pub(super) static AUTH_AUTH_DISABLE: Method =
    method("/etcdserverpb.Auth/AuthDisable", &AUTH_DISABLE_REQUEST, &AUTH_DISABLE_RESPONSE, Streams::None);
pub(super) static AUTH_AUTH_STATUS: Method =
    method("/etcdserverpb.Auth/AuthStatus", &AUTH_STATUS_REQUEST, &AUTH_STATUS_RESPONSE, Streams::None);
pub(super) static AUTH_AUTHENTICATE: Method =
    method("/etcdserverpb.Auth/Authenticate", &AUTHENTICATE_REQUEST, &AUTHENTICATE_RESPONSE, Streams::None);
pub(super) static AUTH_USER_ADD: Method =
    method("/etcdserverpb.Auth/UserAdd", &AUTH_USER_ADD_REQUEST, &AUTH_USER_ADD_RESPONSE, Streams::None);
pub(super) static AUTH_USER_GET: Method =
    method("/etcdserverpb.Auth/UserGet", &AUTH_USER_GET_REQUEST, &AUTH_USER_GET_RESPONSE, Streams::None);
pub(super) static AUTH_USER_LIST: Method =
    method("/etcdserverpb.Auth/UserList", &AUTH_USER_LIST_REQUEST, &AUTH_USER_LIST_RESPONSE, Streams::None);
pub(super) static AUTH_USER_DELETE: Method =
    method("/etcdserverpb.Auth/UserDelete", &AUTH_USER_DELETE_REQUEST, &AUTH_USER_DELETE_RESPONSE, Streams::None);
pub(super) static AUTH_USER_CHANGE_PASSWORD: Method =
    method("/etcdserverpb.Auth/UserChangePassword", &AUTH_USER_CHANGE_PASSWORD_REQUEST, &AUTH_USER_CHANGE_PASSWORD_RESPONSE, Streams::None);
pub(super) static AUTH_USER_GRANT_ROLE: Method =
    method("/etcdserverpb.Auth/UserGrantRole", &AUTH_USER_GRANT_ROLE_REQUEST, &AUTH_USER_GRANT_ROLE_RESPONSE, Streams::None);
pub(super) static AUTH_USER_REVOKE_ROLE: Method =
    method("/etcdserverpb.Auth/UserRevokeRole", &AUTH_USER_REVOKE_ROLE_REQUEST, &AUTH_USER_REVOKE_ROLE_RESPONSE, Streams::None);
pub(super) static AUTH_ROLE_ADD: Method =
    method("/etcdserverpb.Auth/RoleAdd", &AUTH_ROLE_ADD_REQUEST, &AUTH_ROLE_ADD_RESPONSE, Streams::None);
pub(super) static AUTH_ROLE_GET: Method =
    method("/etcdserverpb.Auth/RoleGet", &AUTH_ROLE_GET_REQUEST, &AUTH_ROLE_GET_RESPONSE, Streams::None);
pub(super) static AUTH_ROLE_LIST: Method =
    method("/etcdserverpb.Auth/RoleList", &AUTH_ROLE_LIST_REQUEST, &AUTH_ROLE_LIST_RESPONSE, Streams::None);
pub(super) static AUTH_ROLE_DELETE: Method =
    method("/etcdserverpb.Auth/RoleDelete", &AUTH_ROLE_DELETE_REQUEST, &AUTH_ROLE_DELETE_RESPONSE, Streams::None);
pub(super) static AUTH_ROLE_GRANT_PERMISSION: Method =
    method("/etcdserverpb.Auth/RoleGrantPermission", &AUTH_ROLE_GRANT_PERMISSION_REQUEST, &AUTH_ROLE_GRANT_PERMISSION_RESPONSE, Streams::None);
pub(super) static AUTH_ROLE_REVOKE_PERMISSION: Method =
    method("/etcdserverpb.Auth/RoleRevokePermission", &AUTH_ROLE_REVOKE_PERMISSION_REQUEST, &AUTH_ROLE_REVOKE_PERMISSION_RESPONSE, Streams::None);
pub(super) static LOCK_LOCK: Method =
    method("/v3lockpb.Lock/Lock", &LOCK_REQUEST, &LOCK_RESPONSE, Streams::None);
pub(super) static LOCK_UNLOCK: Method =
    method("/v3lockpb.Lock/Unlock", &UNLOCK_REQUEST, &UNLOCK_RESPONSE, Streams::None);
pub(super) static ELECTION_CAMPAIGN: Method =
    method("/v3electionpb.Election/Campaign", &CAMPAIGN_REQUEST, &CAMPAIGN_RESPONSE, Streams::None);
pub(super) static ELECTION_PROCLAIM: Method =
    method("/v3electionpb.Election/Proclaim", &PROCLAIM_REQUEST, &PROCLAIM_RESPONSE, Streams::None);
pub(super) static ELECTION_LEADER: Method =
    method("/v3electionpb.Election/Leader", &LEADER_REQUEST, &LEADER_RESPONSE, Streams::None);
pub(super) static ELECTION_OBSERVE: Method =
    method("/v3electionpb.Election/Observe", &LEADER_REQUEST, &LEADER_RESPONSE, Streams::Down);
pub(super) static ELECTION_RESIGN: Method =
    method("/v3electionpb.Election/Resign", &RESIGN_REQUEST, &RESIGN_RESPONSE, Streams::None);

static ALARM_MEMBER: Message = Message(&[
    one(1, "memberID", Kind::Uint64),
    one(2, "alarm", Kind::Enum(&["NONE", "NOSPACE", "CORRUPT"])),
]);

static ALARM_REQUEST: Message = Message(&[
    one(1, "action", Kind::Enum(&["GET", "ACTIVATE", "DEACTIVATE"])),
    one(2, "memberID", Kind::Uint64),
    one(3, "alarm", Kind::Enum(&["NONE", "NOSPACE", "CORRUPT"])),
]);

static ALARM_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "alarms", Kind::Message(&ALARM_MEMBER)),
]);

static AUTHENTICATE_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "password", Kind::Text),
]);

static AUTHENTICATE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "token", Kind::Text),
]);

static AUTH_DISABLE_REQUEST: Message = Message(&[]);

static AUTH_DISABLE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_ENABLE_REQUEST: Message = Message(&[]);

static AUTH_ENABLE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_ROLE_ADD_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
]);

static AUTH_ROLE_ADD_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_ROLE_DELETE_REQUEST: Message = Message(&[
    one(1, "role", Kind::Text),
]);

static AUTH_ROLE_DELETE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_ROLE_GET_REQUEST: Message = Message(&[
    one(1, "role", Kind::Text),
]);

static AUTH_ROLE_GET_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "perm", Kind::Message(&PERMISSION)),
]);

static AUTH_ROLE_GRANT_PERMISSION_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "perm", Kind::Message(&PERMISSION)),
]);

static AUTH_ROLE_GRANT_PERMISSION_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_ROLE_LIST_REQUEST: Message = Message(&[]);

static AUTH_ROLE_LIST_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "roles", Kind::Text),
]);

static AUTH_ROLE_REVOKE_PERMISSION_REQUEST: Message = Message(&[
    one(1, "role", Kind::Text),
    one(2, "key", Kind::Bytes),
    one(3, "range_end", Kind::Bytes),
]);

static AUTH_ROLE_REVOKE_PERMISSION_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_STATUS_REQUEST: Message = Message(&[]);

static AUTH_STATUS_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "enabled", Kind::Bool),
    one(3, "authRevision", Kind::Uint64),
]);

static AUTH_USER_ADD_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "password", Kind::Text),
    one(3, "options", Kind::Message(&USER_ADD_OPTIONS)),
    one(4, "hashedPassword", Kind::Text),
]);

static AUTH_USER_ADD_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_USER_CHANGE_PASSWORD_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "password", Kind::Text),
    one(3, "hashedPassword", Kind::Text),
]);

static AUTH_USER_CHANGE_PASSWORD_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_USER_DELETE_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
]);

static AUTH_USER_DELETE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_USER_GET_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
]);

static AUTH_USER_GET_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "roles", Kind::Text),
]);

static AUTH_USER_GRANT_ROLE_REQUEST: Message = Message(&[
    one(1, "user", Kind::Text),
    one(2, "role", Kind::Text),
]);

static AUTH_USER_GRANT_ROLE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static AUTH_USER_LIST_REQUEST: Message = Message(&[]);

static AUTH_USER_LIST_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "users", Kind::Text),
]);

static AUTH_USER_REVOKE_ROLE_REQUEST: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "role", Kind::Text),
]);

static AUTH_USER_REVOKE_ROLE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static CAMPAIGN_REQUEST: Message = Message(&[
    one(1, "name", Kind::Bytes),
    one(2, "lease", Kind::Int64),
    one(3, "value", Kind::Bytes),
]);

static CAMPAIGN_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "leader", Kind::Message(&LEADER_KEY)),
]);

static COMPACTION_REQUEST: Message = Message(&[
    one(1, "revision", Kind::Int64),
    one(2, "physical", Kind::Bool),
]);

static COMPACTION_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static COMPARE: Message = Message(&[
    one(1, "result", Kind::Enum(&["EQUAL", "GREATER", "LESS", "NOT_EQUAL"])),
    one(2, "target", Kind::Enum(&["VERSION", "CREATE", "MOD", "VALUE", "LEASE"])),
    one(3, "key", Kind::Bytes),
    one(4, "version", Kind::Int64),
    one(5, "create_revision", Kind::Int64),
    one(6, "mod_revision", Kind::Int64),
    one(7, "value", Kind::Bytes),
    one(8, "lease", Kind::Int64),
    one(64, "range_end", Kind::Bytes),
]);

static DEFRAGMENT_REQUEST: Message = Message(&[]);

static DEFRAGMENT_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static DELETE_RANGE_REQUEST: Message = Message(&[
    one(1, "key", Kind::Bytes),
    one(2, "range_end", Kind::Bytes),
    one(3, "prev_kv", Kind::Bool),
]);

static DELETE_RANGE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "deleted", Kind::Int64),
    many(3, "prev_kvs", Kind::Message(&KEY_VALUE)),
]);

static DOWNGRADE_REQUEST: Message = Message(&[
    one(1, "action", Kind::Enum(&["VALIDATE", "ENABLE", "CANCEL"])),
    one(2, "version", Kind::Text),
]);

static DOWNGRADE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "version", Kind::Text),
]);

static EVENT: Message = Message(&[
    one(1, "type", Kind::Enum(&["PUT", "DELETE"])),
    one(2, "kv", Kind::Message(&KEY_VALUE)),
    one(3, "prev_kv", Kind::Message(&KEY_VALUE)),
]);

static HASH_KV_REQUEST: Message = Message(&[
    one(1, "revision", Kind::Int64),
]);

static HASH_KV_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "hash", Kind::Uint32),
    one(3, "compact_revision", Kind::Int64),
    one(4, "hash_revision", Kind::Int64),
]);

static HASH_REQUEST: Message = Message(&[]);

static HASH_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "hash", Kind::Uint32),
]);

static KEY_VALUE: Message = Message(&[
    one(1, "key", Kind::Bytes),
    one(2, "create_revision", Kind::Int64),
    one(3, "mod_revision", Kind::Int64),
    one(4, "version", Kind::Int64),
    one(5, "value", Kind::Bytes),
    one(6, "lease", Kind::Int64),
]);

static LEADER_KEY: Message = Message(&[
    one(1, "name", Kind::Bytes),
    one(2, "key", Kind::Bytes),
    one(3, "rev", Kind::Int64),
    one(4, "lease", Kind::Int64),
]);

static LEADER_REQUEST: Message = Message(&[
    one(1, "name", Kind::Bytes),
]);

static LEADER_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "kv", Kind::Message(&KEY_VALUE)),
]);

static LEASE_GRANT_REQUEST: Message = Message(&[
    one(1, "TTL", Kind::Int64),
    one(2, "ID", Kind::Int64),
]);

static LEASE_GRANT_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "ID", Kind::Int64),
    one(3, "TTL", Kind::Int64),
    one(4, "error", Kind::Text),
]);

static LEASE_KEEP_ALIVE_REQUEST: Message = Message(&[
    one(1, "ID", Kind::Int64),
]);

static LEASE_KEEP_ALIVE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "ID", Kind::Int64),
    one(3, "TTL", Kind::Int64),
]);

static LEASE_LEASES_REQUEST: Message = Message(&[]);

static LEASE_LEASES_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "leases", Kind::Message(&LEASE_STATUS)),
]);

static LEASE_REVOKE_REQUEST: Message = Message(&[
    one(1, "ID", Kind::Int64),
]);

static LEASE_REVOKE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static LEASE_STATUS: Message = Message(&[
    one(1, "ID", Kind::Int64),
]);

static LEASE_TIME_TO_LIVE_REQUEST: Message = Message(&[
    one(1, "ID", Kind::Int64),
    one(2, "keys", Kind::Bool),
]);

static LEASE_TIME_TO_LIVE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "ID", Kind::Int64),
    one(3, "TTL", Kind::Int64),
    one(4, "grantedTTL", Kind::Int64),
    many(5, "keys", Kind::Bytes),
]);

static LOCK_REQUEST: Message = Message(&[
    one(1, "name", Kind::Bytes),
    one(2, "lease", Kind::Int64),
]);

static LOCK_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "key", Kind::Bytes),
]);

static MEMBER: Message = Message(&[
    one(1, "ID", Kind::Uint64),
    one(2, "name", Kind::Text),
    many(3, "peerURLs", Kind::Text),
    many(4, "clientURLs", Kind::Text),
    one(5, "isLearner", Kind::Bool),
]);

static MEMBER_ADD_REQUEST: Message = Message(&[
    many(1, "peerURLs", Kind::Text),
    one(2, "isLearner", Kind::Bool),
]);

static MEMBER_ADD_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "member", Kind::Message(&MEMBER)),
    many(3, "members", Kind::Message(&MEMBER)),
]);

static MEMBER_LIST_REQUEST: Message = Message(&[
    one(1, "linearizable", Kind::Bool),
]);

static MEMBER_LIST_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "members", Kind::Message(&MEMBER)),
]);

static MEMBER_PROMOTE_REQUEST: Message = Message(&[
    one(1, "ID", Kind::Uint64),
]);

static MEMBER_PROMOTE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "members", Kind::Message(&MEMBER)),
]);

static MEMBER_REMOVE_REQUEST: Message = Message(&[
    one(1, "ID", Kind::Uint64),
]);

static MEMBER_REMOVE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "members", Kind::Message(&MEMBER)),
]);

static MEMBER_UPDATE_REQUEST: Message = Message(&[
    one(1, "ID", Kind::Uint64),
    many(2, "peerURLs", Kind::Text),
]);

static MEMBER_UPDATE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "members", Kind::Message(&MEMBER)),
]);

static MOVE_LEADER_REQUEST: Message = Message(&[
    one(1, "targetID", Kind::Uint64),
]);

static MOVE_LEADER_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static PERMISSION: Message = Message(&[
    one(1, "permType", Kind::Enum(&["READ", "WRITE", "READWRITE"])),
    one(2, "key", Kind::Bytes),
    one(3, "range_end", Kind::Bytes),
]);

static PROCLAIM_REQUEST: Message = Message(&[
    one(1, "leader", Kind::Message(&LEADER_KEY)),
    one(2, "value", Kind::Bytes),
]);

static PROCLAIM_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static PUT_REQUEST: Message = Message(&[
    one(1, "key", Kind::Bytes),
    one(2, "value", Kind::Bytes),
    one(3, "lease", Kind::Int64),
    one(4, "prev_kv", Kind::Bool),
    one(5, "ignore_value", Kind::Bool),
    one(6, "ignore_lease", Kind::Bool),
]);

static PUT_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "prev_kv", Kind::Message(&KEY_VALUE)),
]);

static RANGE_REQUEST: Message = Message(&[
    one(1, "key", Kind::Bytes),
    one(2, "range_end", Kind::Bytes),
    one(3, "limit", Kind::Int64),
    one(4, "revision", Kind::Int64),
    one(5, "sort_order", Kind::Enum(&["NONE", "ASCEND", "DESCEND"])),
    one(6, "sort_target", Kind::Enum(&["KEY", "VERSION", "CREATE", "MOD", "VALUE"])),
    one(7, "serializable", Kind::Bool),
    one(8, "keys_only", Kind::Bool),
    one(9, "count_only", Kind::Bool),
    one(10, "min_mod_revision", Kind::Int64),
    one(11, "max_mod_revision", Kind::Int64),
    one(12, "min_create_revision", Kind::Int64),
    one(13, "max_create_revision", Kind::Int64),
]);

static RANGE_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    many(2, "kvs", Kind::Message(&KEY_VALUE)),
    one(3, "more", Kind::Bool),
    one(4, "count", Kind::Int64),
]);

static REQUEST_OP: Message = Message(&[
    one(1, "request_range", Kind::Message(&RANGE_REQUEST)),
    one(2, "request_put", Kind::Message(&PUT_REQUEST)),
    one(3, "request_delete_range", Kind::Message(&DELETE_RANGE_REQUEST)),
    one(4, "request_txn", Kind::Message(&TXN_REQUEST)),
]);

static RESIGN_REQUEST: Message = Message(&[
    one(1, "leader", Kind::Message(&LEADER_KEY)),
]);

static RESIGN_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static RESPONSE_HEADER: Message = Message(&[
    one(1, "cluster_id", Kind::Uint64),
    one(2, "member_id", Kind::Uint64),
    one(3, "revision", Kind::Int64),
    one(4, "raft_term", Kind::Uint64),
]);

static RESPONSE_OP: Message = Message(&[
    one(1, "response_range", Kind::Message(&RANGE_RESPONSE)),
    one(2, "response_put", Kind::Message(&PUT_RESPONSE)),
    one(3, "response_delete_range", Kind::Message(&DELETE_RANGE_RESPONSE)),
    one(4, "response_txn", Kind::Message(&TXN_RESPONSE)),
]);

static SNAPSHOT_REQUEST: Message = Message(&[]);

static SNAPSHOT_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "remaining_bytes", Kind::Uint64),
    one(3, "blob", Kind::Bytes),
    one(4, "version", Kind::Text),
]);

static STATUS_REQUEST: Message = Message(&[]);

static STATUS_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "version", Kind::Text),
    one(3, "dbSize", Kind::Int64),
    one(4, "leader", Kind::Uint64),
    one(5, "raftIndex", Kind::Uint64),
    one(6, "raftTerm", Kind::Uint64),
    one(7, "raftAppliedIndex", Kind::Uint64),
    many(8, "errors", Kind::Text),
    one(9, "dbSizeInUse", Kind::Int64),
    one(10, "isLearner", Kind::Bool),
    one(11, "storageVersion", Kind::Text),
    one(12, "dbSizeQuota", Kind::Int64),
]);

static TXN_REQUEST: Message = Message(&[
    many(1, "compare", Kind::Message(&COMPARE)),
    many(2, "success", Kind::Message(&REQUEST_OP)),
    many(3, "failure", Kind::Message(&REQUEST_OP)),
]);

static TXN_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "succeeded", Kind::Bool),
    many(3, "responses", Kind::Message(&RESPONSE_OP)),
]);

static UNLOCK_REQUEST: Message = Message(&[
    one(1, "key", Kind::Bytes),
]);

static UNLOCK_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
]);

static USER_ADD_OPTIONS: Message = Message(&[
    one(1, "no_password", Kind::Bool),
]);

static WATCH_CANCEL_REQUEST: Message = Message(&[
    one(1, "watch_id", Kind::Int64),
]);

static WATCH_CREATE_REQUEST: Message = Message(&[
    one(1, "key", Kind::Bytes),
    one(2, "range_end", Kind::Bytes),
    one(3, "start_revision", Kind::Int64),
    one(4, "progress_notify", Kind::Bool),
    many(5, "filters", Kind::Enum(&["NOPUT", "NODELETE"])),
    one(6, "prev_kv", Kind::Bool),
    one(7, "watch_id", Kind::Int64),
    one(8, "fragment", Kind::Bool),
]);

static WATCH_PROGRESS_REQUEST: Message = Message(&[]);

static WATCH_REQUEST: Message = Message(&[
    one(1, "create_request", Kind::Message(&WATCH_CREATE_REQUEST)),
    one(2, "cancel_request", Kind::Message(&WATCH_CANCEL_REQUEST)),
    one(3, "progress_request", Kind::Message(&WATCH_PROGRESS_REQUEST)),
]);

static WATCH_RESPONSE: Message = Message(&[
    one(1, "header", Kind::Message(&RESPONSE_HEADER)),
    one(2, "watch_id", Kind::Int64),
    one(3, "created", Kind::Bool),
    one(4, "canceled", Kind::Bool),
    one(5, "compact_revision", Kind::Int64),
    one(6, "cancel_reason", Kind::Text),
    one(7, "fragment", Kind::Bool),
    many(11, "events", Kind::Message(&EVENT)),
]);
