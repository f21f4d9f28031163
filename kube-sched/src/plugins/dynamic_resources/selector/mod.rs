//! Device selectors: expressions in the Common Expression Language (CEL) that say which devices suit.
//!
//! What upstream gives device selectors in v1.35 is here: the language itself, `cel.bind`, optional values, macros of one and of two
//! variables, and the libraries for strings, lists, sets, regular expressions, quantities, semantic versions, addresses, URLs and named formats.
//! There is no type checker: what upstream finds when it compiles, such as a sum of a text and a number, is found here when the expression
//! is evaluated.
//!
//! Selectors come from users and are evaluated inside the scheduling loop, so each has a budget, and nesting is bounded. The `cel` crate has
//! neither a budget nor bounded nesting (200 nested parentheses overflow the stack), and costs some 17 seconds of compilation; that is why it is
//! not used here. Another implementation can be put in its place: see [`SelectorCompiler`].

mod ast;
mod compile;
mod evaluate;
mod format;
mod functions;
mod lexer;
mod macros;
mod moment;
mod named;
mod names;
mod operate;
mod parser;
mod semver;
mod url;
mod value;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::snapshot::DeviceFacts;

/// Longest expression, in bytes, as upstream.
pub const MAX_SELECTOR_LENGTH: usize = 10 * 1024;
/// What evaluating an expression for one device may cost, as upstream; a step or ten bytes of text cost one.
pub const MAX_SELECTOR_COST: u64 = 1_000_000;
/// Expressions that are kept compiled. A cluster has a handful.
const MAX_KEPT: usize = 256;

/// A compiled selector.
pub trait DeviceSelector: Debug + Send + Sync {
    /// Whether a device suits. Takes what that cost from `budget`, which may be used up by it and ends the evaluation then; no
    /// evaluation takes more than [`MAX_SELECTOR_COST`]. Must depend on nothing but the device.
    ///
    /// # Errors
    /// The reason, in CEL's words, when the expression makes no sense for the device or costs too much.
    fn matches(&self, device: &DeviceFacts, budget: &mut u64) -> Result<bool, String>;
}

/// Makes selectors of expressions.
pub trait SelectorCompiler: Debug + Send + Sync {
    /// Compiles an expression of [`MAX_SELECTOR_LENGTH`] bytes at most.
    ///
    /// # Errors
    /// The reason, in CEL's words, when it is not well-formed.
    fn compile(&self, expression: &str) -> Result<Arc<dyn DeviceSelector>, String>;
}

/// The built-in implementation.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltinSelectors;

impl SelectorCompiler for BuiltinSelectors {
    fn compile(&self, expression: &str) -> Result<Arc<dyn DeviceSelector>, String> {
        let program = compile::compile(expression).map_err(|error| format!("compilation failed: {error}"))?;
        Ok(Arc::new(program))
    }
}

/// A selector, or why there is none.
pub(super) type Compiled = Result<Arc<dyn DeviceSelector>, Arc<str>>;

/// Selectors by their text, each compiled once.
#[derive(Debug)]
pub(super) struct Selectors {
    compiler: Arc<dyn SelectorCompiler>,
    kept: Mutex<HashMap<String, Compiled>>,
}

impl Selectors {
    pub(super) fn new(compiler: Arc<dyn SelectorCompiler>) -> Self {
        Self { compiler, kept: Mutex::default() }
    }

    pub(super) fn get(&self, expression: &str) -> Compiled {
        if expression.len() > MAX_SELECTOR_LENGTH {
            return Err(format!("expression is longer than {MAX_SELECTOR_LENGTH} bytes").into());
        }
        let mut kept = self.kept.lock();
        if let Some(compiled) = kept.get(expression) {
            return compiled.clone();
        }
        let compiled = self.compiler.compile(expression).map_err(Arc::from);
        if kept.len() >= MAX_KEPT {
            // Users who make up ever new expressions pay with compilations, not with memory.
            kept.clear();
        }
        kept.insert(expression.to_owned(), compiled.clone());
        compiled
    }
}
