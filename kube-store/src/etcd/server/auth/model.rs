//! Users, roles and whether they count: a value, and what each administrative call makes of it. Records are etcd's own, in
//! its own buckets, so that a snapshot takes them along in either direction.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::refusal;
use super::span::Span;
use crate::etcd::r#gen::etcdserverpb as pb;
use pb::permission::Type;

/// Name of the user, and of the role, that may do everything.
pub(super) const ROOT: &str = "root";

const ENABLED: &str = "auth/authEnabled";
const REVISION: &str = "auth/authRevision";
/// Not etcd's, which overlooks it.
const TOKEN_KEY: &str = "auth/tokenKey";
const USERS: &str = "authUsers/";
const ROLES: &str = "authRoles/";

/// Records to write.
pub(super) type Changes = Vec<(Bytes, Option<Bytes>)>;

/// All users and roles.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) enabled: bool,
    /// Counts the changes.
    pub(super) revision: u64,
    /// The record of that; `None` when there is none yet.
    revision_record: Option<Bytes>,
    /// What tokens are signed with.
    pub(super) token_key: Option<Bytes>,
    users: BTreeMap<String, pb::User>,
    roles: BTreeMap<String, pb::Role>,
}

/// What an operation does with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::etcd::server) enum Access {
    Read,
    Write,
}

impl Access {
    fn is_in(self, permission: &pb::Permission) -> bool {
        match permission.perm_type() {
            Type::Readwrite => true,
            Type::Read => self == Self::Read,
            Type::Write => self == Self::Write,
        }
    }
}

impl Model {
    /// Reads the records that there are.
    pub(super) fn load(records: &BTreeMap<Bytes, Bytes>) -> Result<Self, prost::DecodeError> {
        let mut model = Self { revision: 1, ..Self::default() };
        for (name, value) in records {
            let name = String::from_utf8_lossy(name);
            if let Some(user) = name.strip_prefix(USERS) {
                model.users.insert(user.to_owned(), pb::User::decode(value.clone())?);
            } else if let Some(role) = name.strip_prefix(ROLES) {
                model.roles.insert(role.to_owned(), pb::Role::decode(value.clone())?);
            } else if name == ENABLED {
                model.enabled = value.as_ref() == [1];
            } else if name == TOKEN_KEY {
                model.token_key = Some(value.clone());
            } else if name == REVISION {
                let number = value.first_chunk().map(|number| u64::from_be_bytes(*number));
                model.revision = number.unwrap_or(model.revision);
                model.revision_record = Some(value.clone());
            }
        }
        Ok(model)
    }

    /// The record that every change makes another.
    pub(super) fn revision_record(&self) -> (Bytes, Option<Bytes>) {
        (REVISION.into(), self.revision_record.clone())
    }

    /// The records that turn the one into the other, with the next revision; none when nothing is different.
    pub(super) fn changes_to(&self, new: &mut Self) -> Changes {
        let mut changes = Changes::new();
        difference(USERS, &self.users, &new.users, &mut changes);
        difference(ROLES, &self.roles, &new.roles, &mut changes);
        if self.enabled != new.enabled {
            changes.push((ENABLED.into(), Some(Bytes::from(vec![u8::from(new.enabled)]))));
        }
        if self.token_key != new.token_key {
            changes.push((TOKEN_KEY.into(), new.token_key.clone()));
        }
        if !changes.is_empty() {
            new.revision = self.revision + 1;
            changes.push((REVISION.into(), Some(new.revision.to_be_bytes().to_vec().into())));
        }
        changes
    }

    /// The stored form of a user's password, `None` for one who has none.
    pub(super) fn password(&self, user: &str) -> Result<Option<Bytes>, Status> {
        let user = self.users.get(user).ok_or_else(refusal::auth_failed)?;
        let none = user.options.as_ref().is_some_and(|options| options.no_password);
        Ok((!none).then(|| user.password.clone()))
    }

    pub(super) fn enable(&mut self) -> Result<(), Status> {
        let root = self.users.get(ROOT).ok_or_else(refusal::no_root_user)?;
        if !is_root(root) {
            return Err(refusal::no_root_role());
        }
        self.enabled = true;
        Ok(())
    }

    pub(super) fn add_user(
        &mut self,
        name: String,
        password: Bytes,
        options: Option<pb::UserAddOptions>,
    ) -> Result<(), Status> {
        if name.is_empty() {
            return Err(refusal::no_user());
        }
        if self.users.contains_key(&name) {
            return Err(refusal::user_exists());
        }
        let options = Some(options.unwrap_or_default());
        let user = pb::User { name: name.clone().into(), password, roles: Vec::new(), options };
        self.users.insert(name, user);
        Ok(())
    }

    pub(super) fn user_roles(&self, name: &str) -> Result<Vec<String>, Status> {
        self.users.get(name).map(|user| user.roles.clone()).ok_or_else(refusal::user_not_found)
    }

    pub(super) fn users(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    pub(super) fn delete_user(&mut self, name: &str) -> Result<(), Status> {
        if self.enabled && name == ROOT {
            return Err(refusal::invalid_management());
        }
        self.users.remove(name).map(drop).ok_or_else(refusal::user_not_found)
    }

    pub(super) fn change_password(&mut self, name: &str, password: Bytes) -> Result<(), Status> {
        let user = self.user(name)?;
        // Who has none does not get one by this.
        if !user.options.as_ref().is_some_and(|options| options.no_password) {
            user.password = password;
        }
        Ok(())
    }

    pub(super) fn grant_role(&mut self, user: &str, role: String) -> Result<(), Status> {
        let known = role == ROOT || self.roles.contains_key(&role);
        let user = self.user(user)?;
        if !known {
            return Err(refusal::role_not_found());
        }
        if let Err(at) = user.roles.binary_search(&role) {
            user.roles.insert(at, role);
        }
        Ok(())
    }

    pub(super) fn revoke_role(&mut self, user: &str, role: &str) -> Result<(), Status> {
        if self.enabled && user == ROOT && role == ROOT {
            return Err(refusal::invalid_management());
        }
        let user = self.user(user)?;
        let before = user.roles.len();
        user.roles.retain(|has| has != role);
        if user.roles.len() < before { Ok(()) } else { Err(refusal::role_not_granted()) }
    }

    pub(super) fn add_role(&mut self, name: String) -> Result<(), Status> {
        if name.is_empty() {
            return Err(refusal::no_role());
        }
        if self.roles.contains_key(&name) {
            return Err(refusal::role_exists());
        }
        let role = pb::Role { name: name.clone().into(), key_permission: Vec::new() };
        self.roles.insert(name, role);
        Ok(())
    }

    pub(super) fn permissions(&self, role: &str) -> Result<Vec<pb::Permission>, Status> {
        let found = self.roles.get(role).ok_or_else(refusal::role_not_found)?;
        Ok(found.key_permission.clone())
    }

    pub(super) fn roles(&self) -> Vec<String> {
        self.roles.keys().cloned().collect()
    }

    pub(super) fn delete_role(&mut self, name: &str) -> Result<(), Status> {
        if self.enabled && name == ROOT {
            return Err(refusal::invalid_management());
        }
        self.roles.remove(name).ok_or_else(refusal::role_not_found)?;
        self.users.values_mut().for_each(|user| user.roles.retain(|role| role != name));
        Ok(())
    }

    pub(super) fn grant(&mut self, role: &str, permission: pb::Permission) -> Result<(), Status> {
        let role = self.role(role)?;
        let same = |p: &&mut pb::Permission| p.key == permission.key && p.range_end == permission.range_end;
        match role.key_permission.iter_mut().find(same) {
            Some(known) => known.perm_type = permission.perm_type,
            None => {
                role.key_permission.push(permission);
                role.key_permission.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
        Ok(())
    }

    pub(super) fn revoke(&mut self, role: &str, key: &[u8], range_end: &[u8]) -> Result<(), Status> {
        let role = self.role(role)?;
        let before = role.key_permission.len();
        role.key_permission.retain(|p| p.key != key || p.range_end != range_end);
        if role.key_permission.len() < before { Ok(()) } else { Err(refusal::permission_not_granted()) }
    }

    /// Whether a user may do everything.
    pub(super) fn is_root(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(is_root)
    }

    pub(super) fn has_role(&self, user: &str, role: &str) -> bool {
        self.users.get(user).is_some_and(|user| user.roles.iter().any(|has| has == role))
    }

    /// Whether a user may do this with all of these keys.
    pub(super) fn allows(&self, user: &str, access: Access, key: &Bytes, range_end: &Bytes) -> bool {
        let Some(user) = self.users.get(user) else { return false };
        if is_root(user) {
            return true;
        }
        let roles = user.roles.iter().filter_map(|role| self.roles.get(role));
        let permissions = roles.flat_map(|role| &role.key_permission).filter(|p| access.is_in(p));
        let spans = permissions.map(|p| Span::new(&p.key, &p.range_end)).collect();
        Span::new(key, range_end).is_covered(spans)
    }

    fn user(&mut self, name: &str) -> Result<&mut pb::User, Status> {
        self.users.get_mut(name).ok_or_else(refusal::user_not_found)
    }

    fn role(&mut self, name: &str) -> Result<&mut pb::Role, Status> {
        self.roles.get_mut(name).ok_or_else(refusal::role_not_found)
    }
}

fn is_root(user: &pb::User) -> bool {
    user.roles.iter().any(|role| role == ROOT)
}

fn difference<T: Message + PartialEq>(
    bucket: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    changes: &mut Changes,
) {
    let name = |key: &String| Bytes::from([bucket, key].concat());
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    changes.extend(gone.map(|key| (name(key), None)));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    changes.extend(changed.map(|(key, value)| (name(key), Some(value.encode_to_vec().into()))));
}
