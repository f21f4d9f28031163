//! Users and roles, and calls on behalf of them.

use parking_lot::Mutex;
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::side::{Answer, Side, answer, header};
use crate::wire::etcdserverpb as pb;
use pb::permission::Type;

/// The password of every user who has one.
const PASSWORD: &str = "pw";

/// A call about users, or by one.
#[derive(Debug, Clone)]
pub(super) enum Account {
    Enable,
    Disable,
    /// Whether users count; 3.4 does not know this one.
    Status,
    /// All calls after it are those of this user.
    LogIn(pb::AuthenticateRequest),
    /// All calls after it are nobody's.
    LogOut,
    AddUser(pb::AuthUserAddRequest),
    User(&'static str),
    Users,
    DeleteUser(&'static str),
    ChangePassword(&'static str),
    GrantRole(pb::AuthUserGrantRoleRequest),
    RevokeRole(pb::AuthUserRevokeRoleRequest),
    AddRole(&'static str),
    Role(&'static str),
    Roles,
    DeleteRole(&'static str),
    Permit(pb::AuthRoleGrantPermissionRequest),
    Forbid(pb::AuthRoleRevokePermissionRequest),
}

const USERS: [&str; 4] = ["root", "ann", "bob", ""];
const ROLES: [&str; 4] = ["root", "reader", "writer", ""];

/// One of these names, rarely the empty one.
fn name(rng: &mut fastrand::Rng, names: [&'static str; 4]) -> &'static str {
    let last = if rng.u32(0..20) == 0 { 4 } else { 3 };
    names[rng.usize(0..last)]
}

impl Account {
    /// A call that needs no user, or is refused for that. `set` is a set of keys, for permissions.
    pub(super) fn any(rng: &mut fastrand::Rng, set: (bytes::Bytes, bytes::Bytes)) -> Self {
        let (user, role) = (name(rng, USERS), name(rng, ROLES));
        let (mut key, mut range_end) = set;
        // Newer etcds refuse a permission for no keys, 3.4 grants it.
        if key.is_empty() {
            key = bytes::Bytes::from_static(b"a");
        }
        // And where two sets begin with the same key, etcd does not find the one that it should change.
        range_end = match key.last() {
            Some(last) if *last != u8::MAX && key.len() == 1 => vec![last + 1].into(),
            Some(_) if key.len() == 2 => bytes::Bytes::from_static(&[0]),
            _ => range_end.slice(..0),
        };
        match rng.u32(0..16) {
            0..2 => Self::AddUser(pb::AuthUserAddRequest {
                name: user.into(),
                password: PASSWORD.into(),
                // Nobody could log in as root to disable all this.
                options: (user != "root").then(|| pb::UserAddOptions { no_password: rng.u32(0..5) == 0 }),
                ..Default::default()
            }),
            // Without a name, 3.5 looks for one; 3.4 says that it is none.
            2 => Self::User(if user.is_empty() { "root" } else { user }),
            3 => Self::Users,
            4 if rng.bool() => Self::DeleteUser(user),
            4 => Self::ChangePassword(user),
            5..8 => Self::GrantRole(pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() }),
            8 => Self::RevokeRole(pb::AuthUserRevokeRoleRequest { name: user.into(), role: role.into() }),
            9..11 => Self::AddRole(role),
            11 => Self::Role(role),
            12 => Self::Roles,
            13 if rng.u32(0..3) == 0 => Self::DeleteRole(role),
            13..15 => {
                let perm_type = [Type::Read, Type::Write, Type::Readwrite][rng.usize(0..3)].into();
                let perm = Some(pb::Permission { perm_type, key, range_end });
                Self::Permit(pb::AuthRoleGrantPermissionRequest { name: role.into(), perm })
            }
            _ => Self::Forbid(pb::AuthRoleRevokePermissionRequest { role: role.into(), key, range_end }),
        }
    }

    pub(super) fn log_in(user: &str) -> Self {
        Self::LogIn(pb::AuthenticateRequest { name: user.into(), password: PASSWORD.into() })
    }

    /// Somebody, now and then with a wrong password.
    pub(super) fn log_in_any(rng: &mut fastrand::Rng) -> Self {
        let password = if rng.u32(0..10) == 0 { "wrong" } else { PASSWORD };
        Self::LogIn(pb::AuthenticateRequest { name: name(rng, USERS).into(), password: password.into() })
    }

    /// What is needed so that users can be enabled.
    pub(super) fn preparations() -> Vec<Self> {
        let user =
            pb::AuthUserAddRequest { name: "root".into(), password: PASSWORD.into(), ..Default::default() };
        let grant = pb::AuthUserGrantRoleRequest { user: "root".into(), role: "root".into() };
        vec![Self::AddUser(user), Self::AddRole("root"), Self::GrantRole(grant), Self::Enable]
    }
}

/// Says whose calls they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Token(Arc<Mutex<Option<MetadataValue<Ascii>>>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &*self.0.lock() {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

impl Side {
    pub(super) async fn account(&mut self, account: Account) -> Answer {
        let auth = &mut self.auth;
        macro_rules! ask {
            ($method:ident, $request:expr) => {
                answer(auth.$method($request).await, |m| header(&mut m.header))
            };
        }
        match account {
            Account::Enable => ask!(auth_enable, pb::AuthEnableRequest {}),
            Account::Disable => {
                let told = ask!(auth_disable, pb::AuthDisableRequest {});
                if told.result.is_ok() {
                    // 3.4 refuses a token that it does not need.
                    *self.token.0.lock() = None;
                }
                told
            }
            Account::Status => answer(auth.auth_status(pb::AuthStatusRequest {}).await, |m| {
                // What counts as a change differs.
                m.auth_revision = m.auth_revision.min(1);
                header(&mut m.header)
            }),
            Account::LogIn(request) => self.log_in(request).await,
            Account::LogOut => {
                *self.token.0.lock() = None;
                Answer { revision: None, result: Ok(String::new()) }
            }
            Account::AddUser(request) => ask!(user_add, request),
            Account::User(name) => ask!(user_get, pb::AuthUserGetRequest { name: name.into() }),
            Account::Users => ask!(user_list, pb::AuthUserListRequest {}),
            Account::DeleteUser(name) => ask!(user_delete, pb::AuthUserDeleteRequest { name: name.into() }),
            Account::ChangePassword(name) => {
                let (name, password) = (name.into(), PASSWORD.into());
                ask!(
                    user_change_password,
                    pb::AuthUserChangePasswordRequest { name, password, ..Default::default() }
                )
            }
            Account::GrantRole(request) => ask!(user_grant_role, request),
            Account::RevokeRole(request) => ask!(user_revoke_role, request),
            Account::AddRole(name) => ask!(role_add, pb::AuthRoleAddRequest { name: name.into() }),
            Account::Role(role) => ask!(role_get, pb::AuthRoleGetRequest { role: role.into() }),
            Account::Roles => ask!(role_list, pb::AuthRoleListRequest {}),
            Account::DeleteRole(role) => ask!(role_delete, pb::AuthRoleDeleteRequest { role: role.into() }),
            Account::Permit(request) => ask!(role_grant_permission, request),
            Account::Forbid(request) => ask!(role_revoke_permission, request),
        }
    }

    async fn log_in(&mut self, request: pb::AuthenticateRequest) -> Answer {
        // Nobody says who he is to be told who he is.
        *self.token.0.lock() = None;
        let found = self.auth.authenticate(request).await;
        let mut token = String::new();
        let mut told = answer(found, |m| {
            token = std::mem::take(&mut m.token);
            header(&mut m.header)
        });
        if told.result.as_ref().is_err_and(|error| error.contains("no password user")) {
            // That would tell a stranger who has no password.
            let reason = "InvalidArgument: etcdserver: authentication failed, invalid user ID or password";
            told.result = Err(reason.into());
        }
        *self.token.0.lock() = token.parse().ok().filter(|_| !token.is_empty());
        told
    }
}
