//! From tokens to an expression whose names are resolved.

use std::sync::Arc;

use super::ast::{Access, Expr, Operator};
use super::lexer::{Token, tokens};
use super::value::Value;

/// How deep brackets may be nested, and how deep an expression may be.
const MAX_NESTING: usize = 40;
const MAX_DEPTH: usize = 150;
const DEVICE_FIELDS: [&str; 3] = ["driver", "attributes", "capacity"];

/// An expression and how deep it is.
pub(super) type Node = (Expr, usize);

pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nesting: 0, variables: Vec::new(), patterns: 0 };
    let (expr, _) = parser.expression()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(unexpected(Some(token))),
    }
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    /// The variables that are visible, in the order of their places.
    pub(super) variables: Vec<Arc<str>>,
    /// How many regular expressions have been compiled to be kept.
    pub(super) patterns: usize,
}

fn unexpected(token: Option<&Token>) -> String {
    let text = match token {
        None => return "Syntax error: mismatched input '<EOF>'".to_owned(),
        Some(Token::Int(value)) => value.to_string(),
        Some(Token::Uint(value)) => value.to_string(),
        Some(Token::Double(value)) => value.to_string(),
        Some(Token::Text(text)) => format!("{text:?}"),
        Some(Token::Bytes(bytes)) => format!("b{:?}", String::from_utf8_lossy(bytes)),
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

pub(super) fn deeper(expr: Expr, depths: impl IntoIterator<Item = usize>) -> Result<Node, String> {
    let depth = depths.into_iter().max().unwrap_or_default() + 1;
    if depth > MAX_DEPTH {
        return Err("expression recursion limit exceeded".to_owned());
    }
    Ok((expr, depth))
}

pub(super) fn constant(value: Value<'static>) -> Node {
    (Expr::Constant(value), 1)
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// What stands so many tokens further.
    pub(super) fn ahead(&self, tokens: usize) -> Option<&Token> {
        self.tokens.get(self.at + tokens)
    }

    /// Passes so many tokens.
    pub(super) fn pass(&mut self, tokens: usize) {
        self.at += tokens;
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    pub(super) fn skip(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.skip(sign) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    pub(super) fn name(&mut self) -> Result<Arc<str>, String> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(unexpected(other.as_ref())),
        }
    }

    pub(super) fn expression(&mut self) -> Result<Node, String> {
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
        // A sign before a number belongs to it, so that the smallest integer can be written.
        if minuses > 0 {
            minuses -= match self.tokens.get_mut(self.at) {
                Some(Token::Int(value)) => {
                    *value = -*value;
                    1
                }
                Some(Token::Double(value)) => {
                    *value = -*value;
                    1
                }
                _ => 0,
            };
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
            Some(Token::Int(value)) => {
                constant(Value::Int(i64::try_from(value).map_err(|_| "invalid int literal")?))
            }
            Some(Token::Uint(value)) => constant(Value::Uint(value)),
            Some(Token::Double(value)) => constant(Value::Double(value)),
            Some(Token::Text(text)) => constant(Value::Text(text)),
            Some(Token::Bytes(bytes)) => constant(Value::Bytes(bytes)),
            Some(Token::Name(name)) => self.named(name)?,
            // A name from the root, which is where all are.
            Some(Token::Sign(".")) => {
                let name = self.name()?;
                self.named(name)?
            }
            Some(Token::Sign("(")) => {
                let node = self.expression()?;
                self.expect(")")?;
                node
            }
            Some(Token::Sign("[")) => {
                let (items, depth) = self.items("]")?;
                deeper(Expr::List(items), [depth])?
            }
            Some(Token::Sign("{")) => self.map()?,
            other => return Err(unexpected(other.as_ref())),
        })
    }

    /// Expressions up to a closing bracket, and how deep the deepest is.
    pub(super) fn list(&mut self, end: &'static str) -> Result<(Vec<Expr>, usize), String> {
        self.several(end, Self::expression)
    }

    /// The same, each of which may be optional.
    fn items(&mut self, end: &'static str) -> Result<(Vec<Expr>, usize), String> {
        self.several(end, |parser| {
            let optional = parser.skip("?");
            let item = parser.expression()?;
            if_present(optional, item)
        })
    }

    fn several<T>(
        &mut self,
        end: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(T, usize), String>,
    ) -> Result<(Vec<T>, usize), String> {
        let (mut items, mut depth) = (Vec::new(), 0);
        while !self.skip(end) {
            let (item, its_depth) = item(self)?;
            items.push(item);
            depth = depth.max(its_depth);
            if !self.skip(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok((items, depth))
    }

    fn map(&mut self) -> Result<Node, String> {
        let (entries, depth) = self.several("}", |parser| {
            let optional = parser.skip("?");
            let (key, depth_of_key) = parser.expression()?;
            parser.expect(":")?;
            let value = parser.expression()?;
            let (value, depth) = if_present(optional, value)?;
            Ok(((key, value), depth.max(depth_of_key)))
        })?;
        deeper(Expr::Map(entries), [depth])
    }
}

fn if_present(optional: bool, (expr, depth): Node) -> Result<Node, String> {
    if optional { deeper(Expr::IfPresent(Box::new(expr)), [depth]) } else { Ok((expr, depth)) }
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
