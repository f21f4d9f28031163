//! Cuts a label selector into tokens.

/// One token of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    End,
    /// A key, a value, or one of the words `in` and `notin`.
    Word(String),
    Symbol(&'static str),
    /// Symbols that mean nothing together.
    Bad(String),
}

impl Token {
    /// The text as error messages show it.
    pub(super) fn literal(&self) -> &str {
        match self {
            Self::End => "",
            Self::Word(text) | Self::Bad(text) => text,
            Self::Symbol(text) => text,
        }
    }
}

const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
const SPECIAL: &str = "=!(),><";

pub(super) fn tokens(mut text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            tokens.push(Token::End);
            return tokens;
        }
        let symbol = SYMBOLS.iter().find(|s| text.starts_with(**s));
        let length = match symbol {
            Some(symbol) => {
                tokens.push(Token::Symbol(symbol));
                symbol.len()
            }
            None => {
                let stop = |c: char| SPECIAL.contains(c) || matches!(c, ' ' | '\t' | '\r' | '\n' | '\0');
                let end = text.find(stop).unwrap_or(text.len());
                match text.get(..end).filter(|word| !word.is_empty()) {
                    Some(word) => tokens.push(Token::Word(word.to_owned())),
                    None => tokens.push(Token::Bad("error expected: keyword found ''".to_owned())),
                }
                end.max(1)
            }
        };
        text = text.get(length..).unwrap_or_default();
    }
}
