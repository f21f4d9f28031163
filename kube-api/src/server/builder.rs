//! Building a server.

use futures::future::BoxFuture;
use std::sync::Arc;

use kube_store::Store;

use super::{ApiServer, Inner};
use crate::admission::{self, Admission};
use crate::auth::{Authenticator, Authorizer, SystemAuthorizer, Tokens};
use crate::bootstrap;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::kinds::Kinds;
use crate::metrics::Metrics;
use crate::node::NodeConnector;
use crate::openapi::OpenApi;
use crate::registry::Registry;
use crate::token::Signer;

/// Builds an [`ApiServer`].
#[derive(Debug)]
pub struct Builder {
    store: Arc<dyn Store>,
    config: Config,
    kinds: Arc<Kinds>,
    authorizer: Arc<dyn Authorizer>,
    admission: Vec<Arc<dyn Admission>>,
    nodes: Option<Arc<dyn NodeConnector>>,
}

impl Builder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            config: Config::default(),
            kinds: Arc::clone(Kinds::builtin()),
            authorizer: Arc::new(SystemAuthorizer),
            admission: admission::builtin(),
            nodes: None,
        }
    }

    /// Settings. Default: [`Config::default`].
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Who may do what. Default: [`SystemAuthorizer`].
    #[must_use]
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Another admission step, after the built-in ones.
    #[must_use]
    pub fn admission(mut self, step: Arc<dyn Admission>) -> Self {
        self.admission.push(step);
        self
    }

    /// How to reach the agents of nodes for logs, exec, attach and port-forward. Default: not at all.
    #[must_use]
    pub fn node_connector(mut self, nodes: Arc<dyn NodeConnector>) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Starts the watch caches and creates what every cluster has: the system's namespaces and priority classes, the
    /// `kubernetes` service. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When settings do not make sense or the store does not answer.
    pub fn build(self) -> BoxFuture<'static, Result<ApiServer>> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(self.start())
    }

    async fn start(self) -> Result<ApiServer> {
        self.config.validate()?;
        let key = self.config.service_account_key.as_deref();
        let signer =
            key.map(|pem| Signer::from_pem(pem, &self.config.issuer)).transpose().map_err(Error::internal)?;
        let tokens = signer.map(|signer| Tokens { signer, audiences: self.config.audiences.clone() });
        let openapi = OpenApi::new(Arc::clone(&self.kinds));
        let registry = Registry::start(self.store, self.kinds, self.config, self.admission);
        bootstrap::run(&registry).await?;
        Ok(ApiServer(Arc::new(Inner {
            registry,
            authenticator: Authenticator { tokens },
            authorizer: self.authorizer,
            nodes: self.nodes,
            metrics: Metrics::new(),
            openapi,
        })))
    }
}
