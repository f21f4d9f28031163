//! From tokens to an expression whose names are resolved.

use std::sync::Arc;

use super::ast::{Access, Comprehension, Expr, Macro, Operator};
use super::functions::Function;
use super::lexer::{Token, tokens};
use super::value::Value;

/// How deep brackets may be nested, and how deep an expression may be.
const MAX_NESTING: usize = 40;
const MAX_DEPTH: usize = 150;
/// What may stand before a function's name.
const NAMESPACES: [&str; 4] = ["cel", "optional", "sets", "strings"];
const DEVICE_FIELDS: [&str; 3] = ["driver", "attributes", "capacity"];

/// An expression and how deep it is.
type Node = (Expr, usize);

pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nesting: 0, variables: Vec::new() };
    let (expr, _) = parser.expression()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(unexpected(Some(token))),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    /// The variables that are visible, in the order of their places.
    variables: Vec<Arc<str>>,
}

fn unexpected(token: Option<&Token>) -> String {
    let text = match token {
        None => return "Syntax error: mismatched input '<EOF>'".to_owned(),
        Some(Token::Int(value)) => value.to_string(),
        Some(Token::Uint(value)) => value.to_string(),
        Some(Token::Double(value)) => value.to_string(),
        Some(Token::Text(text)) => format!("{text:?}"),
        Some(Token::Name(name)) => name.to_string(),
        Some(Token::Sign(sign)) => (*sign).to_owned(),
    };
    format!("Syntax error: extraneous input '{text}'")
}

/// The precedence of an operator with two sides; higher binds more tightly.
fn precedence(token: &Token) -> Option<u8> {
    Some(match token {
        Token::Name(name) if &**name == "in" => 3,
        Token::Sign(sign) => match *sign {
            "||" => 1,
            "&&" => 2,
            "==" | "!=" | "<" | "<=" | ">" | ">=" => 3,
            "+" | "-" => 4,
            "*" | "/" | "%" => 5,
            _ => return None,
        },
        _ => return None,
    })
}

fn operator(token: &Token) -> Option<Operator> {
    Some(match token {
        Token::Name(_) => Operator::In,
        Token::Sign(sign) => match *sign {
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Remainder,
            _ => return None,
        },
        _ => return None,
    })
}

fn deeper(expr: Expr, depths: impl IntoIterator<Item = usize>) -> Result<Node, String> {
    let depth = depths.into_iter().max().unwrap_or_default() + 1;
    if depth > MAX_DEPTH {
        return Err("expression recursion limit exceeded".to_owned());
    }
    Ok((expr, depth))
}

fn constant(value: Value<'static>) -> Node {
    (Expr::Constant(value), 1)
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn skip(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.skip(sign) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn name(&mut self) -> Result<Arc<str>, String> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(unexpected(other.as_ref())),
        }
    }

    fn expression(&mut self) -> Result<Node, String> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err("expression recursion limit exceeded".to_owned());
        }
        let mut node = self.binary(1)?;
        if self.skip("?") {
            let then = self.binary(1)?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            let depths = [node.1, then.1, otherwise.1];
            node = deeper(Expr::Conditional(Box::new([node.0, then.0, otherwise.0])), depths)?;
        }
        self.nesting -= 1;
        Ok(node)
    }

    /// Operands and operators of this precedence and higher ones.
    fn binary(&mut self, lowest: u8) -> Result<Node, String> {
        let mut left = self.unary()?;
        loop {
            let Some(token) = self.peek().cloned() else { return Ok(left) };
            let Some(precedence) = precedence(&token).filter(|precedence| *precedence >= lowest) else {
                return Ok(left);
            };
            self.at += 1;
            let right = self.binary(precedence + 1)?;
            left = join(&token, left, right)?;
        }
    }

    fn unary(&mut self) -> Result<Node, String> {
        let (mut nots, mut minuses) = (0_usize, 0_usize);
        while self.skip("!") {
            nots += 1;
        }
        while nots == 0 && self.skip("-") {
            minuses += 1;
        }
        let (mut expr, mut depth) = self.member()?;
        // Every further pair changes nothing but the demand on the type, which the first makes already.
        let wraps = if nots > 0 { 2 - nots % 2 } else { minuses % 2 };
        for _ in 0..wraps {
            expr = if nots > 0 { Expr::Not(Box::new(expr)) } else { Expr::Negate(Box::new(expr)) };
            depth += 1;
        }
        if wraps > 0 { deeper(expr, [depth - 1]) } else { Ok((expr, depth)) }
    }

    fn member(&mut self) -> Result<Node, String> {
        let mut node = self.primary()?;
        loop {
            if self.skip(".") {
                let optional = self.skip("?");
                let name = self.name()?;
                node = if !optional && self.skip("(") {
                    self.method(node, &name)?
                } else {
                    field(node, name, optional)?
                };
            } else if self.skip("[") {
                let optional = self.skip("?");
                let key = self.expression()?;
                self.expect("]")?;
                let depths = [node.1, key.1];
                let access = Access { of: Box::new(node.0), key: Box::new(key.0), optional };
                node = deeper(Expr::Get(access), depths)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, String> {
        let token = self.next();
        Ok(match token {
            Some(Token::Int(value)) => constant(Value::Int(value)),
            Some(Token::Uint(value)) => constant(Value::Uint(value)),
            Some(Token::Double(value)) => constant(Value::Double(value)),
            Some(Token::Text(text)) => constant(Value::Text(text)),
            Some(Token::Name(name)) => self.named(name)?,
            Some(Token::Sign("(")) => {
                let node = self.expression()?;
                self.expect(")")?;
                node
            }
            Some(Token::Sign("[")) => {
                let (items, depth) = self.list("]")?;
                deeper(Expr::List(items), [depth])?
            }
            Some(Token::Sign("{")) => self.map()?,
            other => return Err(unexpected(other.as_ref())),
        })
    }

    /// Expressions up to a closing bracket, and how deep the deepest is.
    fn list(&mut self, end: &'static str) -> Result<(Vec<Expr>, usize), String> {
        let (mut items, mut depth) = (Vec::new(), 0);
        while !self.skip(end) {
            let item = self.expression()?;
            items.push(item.0);
            depth = depth.max(item.1);
            if !self.skip(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok((items, depth))
    }

    fn map(&mut self) -> Result<Node, String> {
        let (mut entries, mut depth) = (Vec::new(), 0);
        while !self.skip("}") {
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            depth = depth.max(key.1).max(value.1);
            entries.push((key.0, value.0));
            if !self.skip(",") {
                self.expect("}")?;
                break;
            }
        }
        deeper(Expr::Map(entries), [depth])
    }

    /// What begins with a name: a constant, a variable, a function.
    fn named(&mut self, name: Arc<str>) -> Result<Node, String> {
        if let Some(place) = self.variables.iter().rposition(|other| *other == name) {
            return Ok((Expr::Variable(place), 1));
        }
        let value = match &*name {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = value {
            return Ok(constant(value));
        }
        if self.skip("(") {
            return if &*name == "has" { self.has() } else { self.call(&name, None) };
        }
        if &*name == "device" {
            return Ok((Expr::Device, 1));
        }
        if NAMESPACES.contains(&&*name) && self.skip(".") {
            let full = format!("{name}.{}", self.name()?);
            self.expect("(")?;
            return if full == "cel.bind" { self.bind() } else { self.call(&full, None) };
        }
        Err(format!("undeclared reference to '{name}' (in container '')"))
    }

    /// A function with its arguments, the opening parenthesis of which has been read.
    fn call(&mut self, name: &str, receiver: Option<Node>) -> Result<Node, String> {
        let method = receiver.is_some();
        let (mut args, mut depth) = receiver.map_or((Vec::new(), 0), |(expr, depth)| (vec![expr], depth));
        let (more, depth_of_more) = self.list(")")?;
        depth = depth.max(depth_of_more);
        args.extend(more);
        let function = Function::find(name, method, args.len())
            .ok_or_else(|| format!("undeclared reference to '{name}' (in container '')"))?;
        deeper(Expr::Call(function, args), [depth])
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
        let name = self.name()?;
        self.expect(",")?;
        let value = self.expression()?;
        self.expect(",")?;
        self.variables.push(name);
        let body = self.expression()?;
        self.variables.pop();
        self.expect(")")?;
        let depths = [value.1, body.1];
        deeper(Expr::Bind(Box::new([value.0, body.0])), depths)
    }

    /// A method or macro of what stands before it, the opening parenthesis of which has been read.
    fn method(&mut self, receiver: Node, name: &str) -> Result<Node, String> {
        let kind = match name {
            "all" => Macro::All,
            "exists" => Macro::Exists,
            "exists_one" | "existsOne" => Macro::ExistsOne,
            "filter" => Macro::Filter,
            "map" => Macro::Map,
            "optMap" => Macro::OptMap,
            "optFlatMap" => Macro::OptFlatMap,
            _ => return self.call(name, Some(receiver)),
        };
        let variable = self.name()?;
        self.expect(",")?;
        self.variables.push(variable);
        let first = self.expression()?;
        let second = if kind == Macro::Map && self.skip(",") { Some(self.expression()?) } else { None };
        self.variables.pop();
        self.expect(")")?;
        let depths = [receiver.1, first.1, second.as_ref().map_or(0, |second| second.1)];
        let (condition, body) = match second {
            Some(second) => (Some(first.0), second.0),
            None => (None, first.0),
        };
        deeper(
            Expr::Comprehension(Box::new(Comprehension { kind, over: receiver.0, condition, body })),
            depths,
        )
    }
}

fn field((of, depth): Node, name: Arc<str>, optional: bool) -> Result<Node, String> {
    if matches!(of, Expr::Device) && !DEVICE_FIELDS.contains(&&*name) {
        return Err(format!("undefined field '{name}'"));
    }
    let key = Box::new(Expr::Constant(Value::Text(name)));
    deeper(Expr::Get(Access { of: Box::new(of), key, optional }), [depth])
}

/// Joins two sides. Chains of `&&` and of `||` are flat, so that long ones are not deep.
fn join(token: &Token, left: Node, right: Node) -> Result<Node, String> {
    let depths = [left.1, right.1];
    let chain = |sides: [Expr; 2], depths: [usize; 2], flatten: fn(Expr) -> Result<Vec<Expr>, Expr>| {
        let [first, last] = sides;
        match flatten(first) {
            Ok(mut all) => {
                all.push(last);
                (all, depths[0].max(depths[1] + 1))
            }
            Err(first) => (vec![first, last], depths[0].max(depths[1]) + 1),
        }
    };
    let sides = [left.0, right.0];
    let (expr, depth) = match (token, operator(token)) {
        (_, Some(operator)) => (Expr::Binary(operator, Box::new(sides)), depths[0].max(depths[1]) + 1),
        (Token::Sign("&&"), _) => {
            let (all, depth) = chain(sides, depths, |expr| match expr {
                Expr::And(all) => Ok(all),
                other => Err(other),
            });
            (Expr::And(all), depth)
        }
        _ => {
            let (all, depth) = chain(sides, depths, |expr| match expr {
                Expr::Or(all) => Ok(all),
                other => Err(other),
            });
            (Expr::Or(all), depth)
        }
    };
    deeper(expr, [depth - 1])
}
