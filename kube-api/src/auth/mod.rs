//! Who asks, and may they.

mod authenticate;
mod authorize;
mod token;
mod user;

pub use authorize::{Attributes, Authorizer, Decision, SystemAuthorizer};
pub use user::User;

pub(crate) use authenticate::{Authenticator, InProcess};
pub(crate) use token::Tokens;
