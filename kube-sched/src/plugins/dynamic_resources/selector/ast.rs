//! The shape of an expression.

use std::sync::Arc;

use super::functions::Function;
use super::value::Value;

/// An expression. Names are resolved: a variable is its place among those that are visible.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// A value that stands in the expression.
    Constant(Value<'static>),
    /// The device.
    Device,
    /// A variable of a macro.
    Variable(usize),
    Get(Access),
    /// Whether a field is there.
    Has(Box<Expr>, Arc<str>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// An element of a list or a value of a map that is optional, and left out if it is not there.
    IfPresent(Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// True if all are; one that is false counts more than errors.
    And(Vec<Expr>),
    /// True if any is; one that is true counts more than errors.
    Or(Vec<Expr>),
    Conditional(Box<[Expr; 3]>),
    Binary(Operator, Box<[Expr; 2]>),
    Call(Function, Vec<Expr>),
    Comprehension(Box<Comprehension>),
    /// A value with a name, and the expression that uses it.
    Bind(Box<[Expr; 2]>),
}

/// Looking into a value: `of.key` and `of[key]`.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) of: Box<Expr>,
    pub(super) key: Box<Expr>,
    /// Gives an optional value, rather than failing, when nothing is there.
    pub(super) optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A macro that looks at each element of a list, at each key of a map, or into an optional value.
#[derive(Debug, Clone)]
pub(super) struct Comprehension {
    pub(super) kind: Macro,
    pub(super) over: Expr,
    /// Which elements count; all if absent.
    pub(super) condition: Option<Expr>,
    /// What becomes of an element.
    pub(super) body: Expr,
    /// Whether there are two variables: an index or key, and what stands there.
    pub(super) pairs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    SortBy,
    /// A map with the same keys.
    TransformMap,
    /// A map of the entries that elements become.
    TransformMapEntry,
    /// What becomes of an optional value that is there.
    OptMap,
    /// The same, where that is optional itself.
    OptFlatMap,
}
