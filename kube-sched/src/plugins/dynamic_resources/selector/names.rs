//! What a name stands for: a variable, a type, a function, a macro.

use std::sync::Arc;

use super::ast::{Access, Comprehension, Expr, Macro};
use super::evaluate::is_constant;
use super::functions::{Function, kept_regex};
use super::lexer::Token;
use super::parser::{Node, Parser, constant, deeper};
use super::value::{DURATION, TIMESTAMP, Value};

/// What may stand before a function's name.
const NAMESPACES: [&str; 7] = ["cel", "format", "ip", "lists", "optional", "sets", "strings"];
/// The types that have a name.
const TYPES: [&str; 16] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
    DURATION,
    TIMESTAMP,
    "net.IP",
    "net.CIDR",
    "google.protobuf.NullValue",
];
/// Names that other languages like to have for themselves.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// Regular expressions that are kept compiled with one selector.
const MAX_PATTERNS: usize = 4;

fn undeclared(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container '')")
}

impl Parser {
    /// What begins with a name: a constant, a variable, a function.
    pub(super) fn named(&mut self, name: Arc<str>) -> Result<Node, String> {
        if let Some(place) = self.variables.iter().rposition(|other| *other == name) {
            return Ok((Expr::Variable(place), 1));
        }
        match &*name {
            "true" => return Ok(constant(Value::Bool(true))),
            "false" => return Ok(constant(Value::Bool(false))),
            "null" => return Ok(constant(Value::Null)),
            reserved if RESERVED.contains(&reserved) => {
                return Err(format!("reserved identifier: {name}"));
            }
            _ => {}
        }
        if self.skip("(") {
            return if &*name == "has" { self.has() } else { self.call(&name, None) };
        }
        if &*name == "device" {
            return Ok((Expr::Device, 1));
        }
        if let Some(found) = TYPES.into_iter().find(|known| self.is_qualified(&name, known)) {
            self.pass(2 * found.matches('.').count());
            return Ok(constant(Value::Type(found)));
        }
        if NAMESPACES.contains(&&*name) && self.skip(".") {
            let full = format!("{name}.{}", self.name()?);
            self.expect("(")?;
            if let Some(format) = full.strip_prefix("format.")
                && let Some(format) = super::named::NamedFormat::find(format)
            {
                self.expect(")")?;
                return Ok(constant(Value::Format(format)));
            }
            return if full == "cel.bind" { self.bind() } else { self.call(&full, None) };
        }
        Err(undeclared(&name))
    }

    /// Whether a name and what follows it are these names with dots between them.
    fn is_qualified(&self, first: &str, known: &str) -> bool {
        let mut parts = known.split('.');
        let rest = |(place, part): (usize, &str)| {
            let is_name = |token: &Token| matches!(token, Token::Name(name) if **name == *part);
            self.ahead(2 * place) == Some(&Token::Sign(".")) && self.ahead(2 * place + 1).is_some_and(is_name)
        };
        parts.next() == Some(first) && parts.enumerate().all(rest)
    }

    /// A function with its arguments, the opening parenthesis of which has been read.
    fn call(&mut self, name: &str, receiver: Option<Node>) -> Result<Node, String> {
        let method = receiver.is_some();
        let (mut args, mut depth) = receiver.map_or((Vec::new(), 0), |(expr, depth)| (vec![expr], depth));
        let (more, depth_of_more) = self.list(")")?;
        depth = depth.max(depth_of_more);
        args.extend(more);
        let function = Function::find(name, method, args.len()).ok_or_else(|| undeclared(name))?;
        self.look_at_constants(function, name, &mut args)?;
        deeper(Expr::Call(function, args), [depth])
    }

    /// Refuses what cannot be right whatever the device is, and compiles regular expressions.
    fn look_at_constants(&mut self, function: Function, name: &str, args: &mut [Expr]) -> Result<(), String> {
        let invalid = || format!("invalid {name} argument");
        match (function, args) {
            (Function::ToDuration | Function::ToTimestamp, [text @ Expr::Constant(Value::Text(_))])
                if !is_constant(&Expr::Call(function, vec![text.clone()])) =>
            {
                return Err(invalid());
            }
            (
                Function::Matches | Function::MatchesOf | Function::Find | Function::FindAll,
                [_, Expr::Constant(pattern), ..],
            ) => {
                if let Value::Text(text) = &*pattern
                    && self.patterns < MAX_PATTERNS
                {
                    self.patterns += 1;
                    let matches = matches!(function, Function::Matches | Function::MatchesOf);
                    *pattern = kept_regex(text).map_err(|error| if matches { invalid() } else { error })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn has(&mut self) -> Result<Node, String> {
        let (arg, depth) = self.expression()?;
        self.expect(")")?;
        let invalid = || "invalid argument to has() macro".to_owned();
        let Expr::Get(Access { of, key, optional: false }) = arg else { return Err(invalid()) };
        let Expr::Constant(Value::Text(field)) = *key else { return Err(invalid()) };
        deeper(Expr::Has(of, field), [depth])
    }

    fn bind(&mut self) -> Result<Node, String> {
        let name = self.variable()?;
        let value = self.expression()?;
        self.expect(",")?;
        self.variables.push(name);
        let body = self.expression()?;
        self.variables.pop();
        self.expect(")")?;
        let depths = [value.1, body.1];
        deeper(Expr::Bind(Box::new([value.0, body.0])), depths)
    }

    /// The name of a variable and the comma behind it.
    fn variable(&mut self) -> Result<Arc<str>, String> {
        let is_name = matches!(self.peek(), Some(Token::Name(_))) && self.ahead(1) == Some(&Token::Sign(","));
        if !is_name {
            return Err("argument must be a simple name".to_owned());
        }
        let name = self.name()?;
        self.expect(",")?;
        Ok(name)
    }

    /// A method or macro of what stands before it, the opening parenthesis of which has been read.
    pub(super) fn method(&mut self, receiver: Node, name: &str) -> Result<Node, String> {
        let (kind, pairs) = match name {
            "all" => (Macro::All, None),
            "exists" => (Macro::Exists, None),
            "exists_one" | "existsOne" => (Macro::ExistsOne, None),
            "filter" => (Macro::Filter, Some(false)),
            "map" => (Macro::Map, Some(false)),
            "sortBy" => (Macro::SortBy, Some(false)),
            "transformList" => (Macro::Map, Some(true)),
            "transformMap" => (Macro::TransformMap, Some(true)),
            "transformMapEntry" => (Macro::TransformMapEntry, Some(true)),
            "optMap" => (Macro::OptMap, Some(false)),
            "optFlatMap" => (Macro::OptFlatMap, Some(false)),
            _ => return self.call(name, Some(receiver)),
        };
        let names = self.variables_of(pairs)?;
        self.comprehension(kind, receiver, names)
    }

    /// The names of a macro's variables. Where both numbers of them are possible, a second name tells, if a comma follows it.
    fn variables_of(&mut self, pairs: Option<bool>) -> Result<Vec<Arc<str>>, String> {
        let first = self.variable()?;
        let another = matches!(self.peek(), Some(Token::Name(_))) && self.ahead(1) == Some(&Token::Sign(","));
        if !pairs.unwrap_or(another) {
            return Ok(vec![first]);
        }
        let second = self.variable()?;
        if first == second {
            return Err(format!("duplicate variable name: {second}"));
        }
        Ok(vec![first, second])
    }

    fn comprehension(&mut self, kind: Macro, over: Node, names: Vec<Arc<str>>) -> Result<Node, String> {
        let visible = self.variables.len();
        let pairs = names.len() == 2;
        self.variables.extend(names);
        let first = self.expression()?;
        let conditional = matches!(kind, Macro::Map | Macro::TransformMap | Macro::TransformMapEntry);
        let second = if conditional && self.skip(",") { Some(self.expression()?) } else { None };
        self.variables.truncate(visible);
        self.expect(")")?;
        let depths = [over.1, first.1, second.as_ref().map_or(0, |second| second.1)];
        let (condition, body) = match second {
            Some(second) => (Some(first.0), second.0),
            None => (None, first.0),
        };
        let comprehension = Comprehension { kind, over: over.0, condition, body, pairs };
        deeper(Expr::Comprehension(Box::new(comprehension)), depths)
    }
}
