//! What etcd says when it refuses; Go's clients compare the text.

use tonic::{Code, Status};

/// That nobody can log in where there is no key to sign tokens with.
pub(super) fn only_verifies() -> Status {
    Status::unknown("auth: token signing attempted with verify-only key")
}

macro_rules! refusals {
    ($($name:ident: $code:ident $text:literal,)*) => {
        $(pub(in crate::etcd::server) fn $name() -> Status {
            Status::new(Code::$code, concat!("etcdserver: ", $text))
        })*
    };
}

refusals! {
    no_root_user: FailedPrecondition "root user does not exist",
    no_root_role: FailedPrecondition "root user does not have root role",
    user_exists: FailedPrecondition "user name already exists",
    no_user: InvalidArgument "user name is empty",
    user_not_found: FailedPrecondition "user name not found",
    role_exists: FailedPrecondition "role name already exists",
    role_not_found: FailedPrecondition "role name not found",
    no_role: InvalidArgument "role name is empty",
    auth_failed: InvalidArgument "authentication failed, invalid user ID or password",
    denied: PermissionDenied "permission denied",
    role_not_granted: FailedPrecondition "role is not granted to the user",
    permission_not_granted: FailedPrecondition "permission is not granted to the role",
    not_enabled: FailedPrecondition "authentication is not enabled",
    invalid_token: Unauthenticated "invalid auth token",
    invalid_management: InvalidArgument "invalid auth management",
    old_revision: InvalidArgument "revision of auth store is old",
    no_permission: InvalidArgument "permission not given",
}
