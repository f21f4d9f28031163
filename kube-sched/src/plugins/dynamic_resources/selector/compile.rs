//! A compiled expression.

use super::ast::Expr;
use super::evaluate::{Failure, evaluate};
use super::parser::parse;
use super::{DeviceSelector, MAX_SELECTOR_COST};
use crate::snapshot::DeviceFacts;

/// An expression that is ready to be evaluated.
#[derive(Debug)]
pub(super) struct Program(Expr);

pub(super) fn compile(text: &str) -> Result<Program, String> {
    parse(text).map(Program)
}

impl DeviceSelector for Program {
    fn matches(&self, device: &DeviceFacts, budget: &mut u64) -> Result<bool, String> {
        let allowed = (*budget).min(MAX_SELECTOR_COST);
        let mut left = allowed;
        let outcome = evaluate(&self.0, device, &mut left);
        *budget -= allowed - left;
        outcome.map_err(|failure| match failure {
            Failure::Error(text) => text,
            Failure::TooDear => "operation cancelled: actual cost limit exceeded".to_owned(),
        })
    }
}
