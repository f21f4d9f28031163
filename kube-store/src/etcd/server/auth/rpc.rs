//! The service of users and roles.

use tonic::{Request, Response, async_trait};

use super::refusal;
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::etcd::server::etcd_server::{Answer, EtcdServer};

/// Answers with a header and what else is given.
macro_rules! answer {
    ($server:expr, $response:ident $(, $field:ident: $value:expr)* $(,)?) => {
        Ok(Response::new(pb::$response { header: $server.header().await?, $($field: $value,)* }))
    };
}

#[async_trait]
impl pb::auth_server::Auth for EtcdServer {
    async fn auth_enable(&self, request: Request<pb::AuthEnableRequest>) -> Answer<pb::AuthEnableResponse> {
        self.administrator(request).await?;
        let key = super::new_key()?;
        self.auth
            .change(|model| {
                model.enable()?;
                // Nobody may come back with a token of before.
                model.token_key = Some(key);
                Ok(())
            })
            .await?;
        answer!(self, AuthEnableResponse)
    }

    async fn auth_disable(
        &self,
        request: Request<pb::AuthDisableRequest>,
    ) -> Answer<pb::AuthDisableResponse> {
        self.administrator(request).await?;
        self.auth
            .change(|model| {
                model.enabled = false;
                Ok(())
            })
            .await?;
        answer!(self, AuthDisableResponse)
    }

    async fn auth_status(&self, request: Request<pb::AuthStatusRequest>) -> Answer<pb::AuthStatusResponse> {
        self.administrator(request).await?;
        let model = self.auth.model().await?;
        answer!(self, AuthStatusResponse, enabled: model.enabled, auth_revision: model.revision)
    }

    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Answer<pb::AuthenticateResponse> {
        let request = request.into_inner();
        let token = self.auth.authenticate(&request.name, request.password).await?;
        answer!(self, AuthenticateResponse, token: token)
    }

    async fn user_add(&self, request: Request<pb::AuthUserAddRequest>) -> Answer<pb::AuthUserAddResponse> {
        let request = self.administrator(request).await?;
        let none = request.options.as_ref().is_some_and(|options| options.no_password);
        let password =
            if none { Default::default() } else { self.auth.hash_password(request.password).await? };
        self.auth.change(|model| model.add_user(request.name, password, request.options)).await?;
        answer!(self, AuthUserAddResponse)
    }

    async fn user_get(&self, request: Request<pb::AuthUserGetRequest>) -> Answer<pb::AuthUserGetResponse> {
        let caller = self.caller(&request).await?;
        let name = request.into_inner().name;
        if caller.user.as_ref() != Some(&name) {
            caller.require_root()?;
        }
        answer!(self, AuthUserGetResponse, roles: self.auth.model().await?.user_roles(&name)?)
    }

    async fn user_list(&self, request: Request<pb::AuthUserListRequest>) -> Answer<pb::AuthUserListResponse> {
        self.administrator(request).await?;
        answer!(self, AuthUserListResponse, users: self.auth.model().await?.users())
    }

    async fn user_delete(
        &self,
        request: Request<pb::AuthUserDeleteRequest>,
    ) -> Answer<pb::AuthUserDeleteResponse> {
        let request = self.administrator(request).await?;
        self.auth.change(|model| model.delete_user(&request.name)).await?;
        answer!(self, AuthUserDeleteResponse)
    }

    async fn user_change_password(
        &self,
        request: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Answer<pb::AuthUserChangePasswordResponse> {
        let request = self.administrator(request).await?;
        let password = self.auth.hash_password(request.password).await?;
        self.auth.change(|model| model.change_password(&request.name, password)).await?;
        answer!(self, AuthUserChangePasswordResponse)
    }

    async fn user_grant_role(
        &self,
        request: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Answer<pb::AuthUserGrantRoleResponse> {
        let request = self.administrator(request).await?;
        self.auth.change(|model| model.grant_role(&request.user, request.role)).await?;
        answer!(self, AuthUserGrantRoleResponse)
    }

    async fn user_revoke_role(
        &self,
        request: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Answer<pb::AuthUserRevokeRoleResponse> {
        let request = self.administrator(request).await?;
        self.auth.change(|model| model.revoke_role(&request.name, &request.role)).await?;
        answer!(self, AuthUserRevokeRoleResponse)
    }

    async fn role_add(&self, request: Request<pb::AuthRoleAddRequest>) -> Answer<pb::AuthRoleAddResponse> {
        let request = self.administrator(request).await?;
        self.auth.change(|model| model.add_role(request.name)).await?;
        answer!(self, AuthRoleAddResponse)
    }

    async fn role_get(&self, request: Request<pb::AuthRoleGetRequest>) -> Answer<pb::AuthRoleGetResponse> {
        let caller = self.caller(&request).await?;
        let role = request.into_inner().role;
        let own = caller.user.as_deref().is_some_and(|user| caller.model.has_role(user, &role));
        if !own {
            caller.require_root()?;
        }
        answer!(self, AuthRoleGetResponse, perm: self.auth.model().await?.permissions(&role)?)
    }

    async fn role_list(&self, request: Request<pb::AuthRoleListRequest>) -> Answer<pb::AuthRoleListResponse> {
        self.administrator(request).await?;
        answer!(self, AuthRoleListResponse, roles: self.auth.model().await?.roles())
    }

    async fn role_delete(
        &self,
        request: Request<pb::AuthRoleDeleteRequest>,
    ) -> Answer<pb::AuthRoleDeleteResponse> {
        let request = self.administrator(request).await?;
        self.auth.change(|model| model.delete_role(&request.role)).await?;
        answer!(self, AuthRoleDeleteResponse)
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Answer<pb::AuthRoleGrantPermissionResponse> {
        let request = self.administrator(request).await?;
        let permission = request.perm.ok_or_else(refusal::no_permission)?;
        self.auth.change(|model| model.grant(&request.name, permission)).await?;
        answer!(self, AuthRoleGrantPermissionResponse)
    }

    async fn role_revoke_permission(
        &self,
        request: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Answer<pb::AuthRoleRevokePermissionResponse> {
        let request = self.administrator(request).await?;
        self.auth.change(|model| model.revoke(&request.role, &request.key, &request.range_end)).await?;
        answer!(self, AuthRoleRevokePermissionResponse)
    }
}
