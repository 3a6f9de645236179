//! Parser of expressions: operators by PowerShell's precedence (about_Operator_Precedence), members, indexes.

use super::number::number;
use super::{MAX_DEPTH, Parsed, Parser, is_dash, is_double_quote, is_name, is_single_quote};
use crate::line::syntax::{
    BinaryOperator, BitwiseOperator, Element, Expr, NamedOperator, Operator, Statement, UnaryOperator,
};
use crate::psrp::clixml::Value;

/// Precedence of binary operators, lowest first. `-and` and `-or` have the same precedence.
const LOGICAL: u8 = 0;
const BITWISE: u8 = 1;
const COMPARING: u8 = 2;
const ADDING: u8 = 3;
const MULTIPLYING: u8 = 4;
const FORMATTING: u8 = 5;
const RANGE: u8 = 6;

/// A binary operator in the text.
struct Infix {
    operator: BinaryOperator,
    /// Number of its characters in the text.
    length: usize,
    precedence: u8,
}

impl Parser {
    /// Returns whether a value begins here instead of a command name.
    pub(super) fn begins_expression(&self) -> bool {
        let Some(letter) = self.peek() else { return false };
        let next = self.peek_at(1);
        is_single_quote(letter)
            || is_double_quote(letter)
            || matches!(letter, '$' | '@' | '(' | '[' | '!' | '{')
            || letter.is_ascii_digit()
            || (matches!(letter, '+' | '.') && next.is_some_and(|next| next.is_ascii_digit()))
            || (is_dash(letter)
                && next.is_some_and(|next| next.is_ascii_digit() || matches!(next, '$' | '(')))
            || self.unary_word().is_some()
    }

    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| parser.binary(LOGICAL))
    }

    fn binary(&mut self, loosest: u8) -> Parsed<Expr> {
        if loosest > RANGE {
            return self.comma_list();
        }
        let mut left = self.binary(loosest + 1)?;
        let mut long = 0;
        loop {
            let before = self.at;
            self.blank(false);
            let infix = self.operator()?.filter(|infix| infix.precedence == loosest);
            let Some(Infix { operator, length, .. }) = infix else {
                self.at = before;
                return Ok(left);
            };
            long += 1;
            if long > 8 * MAX_DEPTH {
                return self.wrong("The expression is too long.");
            }
            let written: String =
                self.letters[self.at..self.at + length].iter().map(|(_, letter)| *letter).collect();
            self.at += length;
            self.blank(true);
            if self.peek().is_none() {
                return self.unfinished(format!(
                    "You must provide a value expression following the '{written}' operator."
                ));
            }
            if !self.begins_expression() && self.peek() != Some(',') {
                let word = self.word()?.map(|word| match word {
                    Expr::Literal(word) => word.display_text(),
                    _ => String::new(),
                });
                return self.wrong(format!(
                    "You must provide a value expression following the '{written}' operator: text belongs in quotes, '{}'.",
                    word.unwrap_or_default()
                ));
            }
            let takes_type = matches!(
                operator,
                BinaryOperator::Named(NamedOperator { operator: Operator::Is | Operator::IsNot, .. })
            );
            let before = std::mem::replace(&mut self.takes_type, takes_type);
            let right = self.binary(loosest + 1)?;
            self.takes_type = before;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    /// Reads a binary operator without advancing.
    fn operator(&self) -> Parsed<Option<Infix>> {
        let Some(letter) = self.peek() else { return Ok(None) };
        let doubled = self.peek_at(1) == Some(letter);
        let (operator, length, precedence) = match letter {
            '+' if doubled => return self.script("'++'"),
            '+' | '-' | '*' | '/' | '%' if self.peek_at(1) == Some('=') => {
                return self.script(&format!("'{letter}='"));
            }
            '+' => (BinaryOperator::Add, 1, ADDING),
            '*' if self.peek_at(1) != Some('>') => (BinaryOperator::Multiply, 1, MULTIPLYING),
            '/' => (BinaryOperator::Divide, 1, MULTIPLYING),
            '%' => (BinaryOperator::Remainder, 1, MULTIPLYING),
            '.' if doubled => (BinaryOperator::Range, 2, RANGE),
            '?' if doubled => return self.script("'??'"),
            '?' => return self.script("'?'"),
            dash if is_dash(dash) => {
                let name = self.word_after_dash();
                let length = 1 + name.chars().count();
                match name.to_lowercase().as_str() {
                    "" if self.peek_at(1).is_some_and(is_dash) => return self.script("'--'"),
                    "" => (BinaryOperator::Subtract, 1, ADDING),
                    "and" => (BinaryOperator::And, length, LOGICAL),
                    "or" => (BinaryOperator::Or, length, LOGICAL),
                    "xor" => (BinaryOperator::Xor, length, LOGICAL),
                    "f" => (BinaryOperator::Format, length, FORMATTING),
                    "band" => (BinaryOperator::Bitwise(BitwiseOperator::And), length, BITWISE),
                    "bor" => (BinaryOperator::Bitwise(BitwiseOperator::Or), length, BITWISE),
                    "bxor" => (BinaryOperator::Bitwise(BitwiseOperator::Xor), length, BITWISE),
                    "shl" => (BinaryOperator::Bitwise(BitwiseOperator::ShiftLeft), length, COMPARING),
                    "shr" => (BinaryOperator::Bitwise(BitwiseOperator::ShiftRight), length, COMPARING),
                    _ => match NamedOperator::read(&name) {
                        Some(word) => (BinaryOperator::Named(word), length, COMPARING),
                        None => return self.script(&format!("The operator '-{name}'")),
                    },
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Infix { operator, length, precedence }))
    }

    fn word_after_dash(&self) -> String {
        self.letters[self.at + 1..]
            .iter()
            .map(|(_, letter)| *letter)
            .take_while(|one| one.is_alphabetic())
            .collect()
    }

    fn unary_word(&self) -> Option<(UnaryOperator, usize)> {
        if !self.peek().is_some_and(is_dash) {
            return None;
        }
        let name = self.word_after_dash();
        let unary = match name.to_lowercase().as_str() {
            "not" => UnaryOperator::Not,
            "join" => UnaryOperator::Join,
            "split" => UnaryOperator::Split,
            "bnot" => UnaryOperator::BitNot,
            _ => return None,
        };
        Some((unary, 1 + name.chars().count()))
    }

    fn comma_list(&mut self) -> Parsed<Expr> {
        self.separated(Self::unary)
    }

    /// Parses one value, or several separated by commas as an array.
    pub(super) fn separated(&mut self, one: impl Fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        let mut all = vec![one(self)?];
        loop {
            let before = self.at;
            self.blank(false);
            if !self.take(',') {
                self.at = before;
                break;
            }
            self.blank(true);
            if self.peek().is_none() {
                return self.unfinished("Missing expression after ','.");
            }
            all.push(one(self)?);
        }
        Ok(if all.len() == 1 { all.swap_remove(0) } else { Expr::Array(all) })
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let (unary, length) = match (self.peek(), self.peek_at(1)) {
            (Some('!'), _) => (UnaryOperator::Not, 1),
            (Some('+'), Some('+')) => return self.script("'++'"),
            (Some(dash), Some(next)) if is_dash(dash) && is_dash(next) => return self.script("'--'"),
            (Some('+'), Some(next)) if !next.is_ascii_digit() => (UnaryOperator::Plus, 1),
            (Some(dash), Some(next)) if is_dash(dash) && !next.is_ascii_digit() => match self.unary_word() {
                Some(word) => word,
                None => (UnaryOperator::Minus, 1),
            },
            _ => return self.primary(),
        };
        self.at += length;
        self.blank(false);
        if self.peek().is_none() {
            return self.unfinished("Missing expression after unary operator.");
        }
        let of = self.deeper(Self::unary)?;
        Ok(Expr::Unary(unary, Box::new(of)))
    }

    /// Parses a value with its members and indexes.
    pub(super) fn primary(&mut self) -> Parsed<Expr> {
        let value = match (self.peek(), self.peek_at(1)) {
            (Some('@' | '$'), Some('(')) => self.group(2)?,
            (Some('@'), Some('{')) => self.deeper(Self::table)?,
            (Some('@'), Some(quote)) if is_single_quote(quote) || is_double_quote(quote) => {
                self.here_string()?
            }
            (Some('@'), _) => return self.script("Splatting"),
            (Some('('), _) => self.group(1)?,
            (Some('{'), _) => self.block()?,
            (Some('$'), _) => self.variable()?,
            (Some('['), _) => {
                let start = self.at;
                let literal = self.type_literal()?;
                if !self.takes_type {
                    return self.script_at(start, "A type by itself");
                }
                literal
            }
            (Some(quote), _) if is_single_quote(quote) || is_double_quote(quote) => self.quoted()?,
            (Some(_), _) => self.bare_number()?,
            (None, _) => return self.unfinished("A value is missing."),
        };
        self.path(value)
    }

    fn bare_number(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let mut text = String::new();
        while let Some(letter) = self.peek() {
            let exponent = text.ends_with(['e', 'E']) && !text.starts_with("0x");
            let continues = letter.is_ascii_alphanumeric()
                || (letter == '.'
                    && !text.contains('.')
                    && self.peek_at(1).is_none_or(|next| !is_name(next) && next != '.'))
                || (letter == '.' && self.peek_at(1).is_some_and(|next| next.is_ascii_digit()))
                || (matches!(letter, '+' | '-') && (exponent || text.is_empty()))
                || (is_dash(letter) && text.is_empty());
            if !continues {
                break;
            }
            text.push(if is_dash(letter) { '-' } else { letter });
            self.at += 1;
        }
        if let Some(number) = number(&text) {
            Ok(number)
        } else {
            self.at = start;
            self.wrong(format!(
                "Unexpected token '{text}' in expression or statement. Text belongs in quotes."
            ))
        }
    }

    /// Parses `(…)`, `$(…)` and `@(…)`.
    pub(super) fn group(&mut self, opening: usize) -> Parsed<Expr> {
        let sign = self.peek();
        self.at += opening;
        let statements = self.deeper(Self::statements)?;
        match self.next() {
            Some(')') => {}
            None => return self.unfinished("Missing closing ')' in expression."),
            Some(letter) => {
                return self.wrong(format!("Unexpected token '{letter}': there is no opening bracket."));
            }
        }
        let inner = match computed(statements) {
            Ok(expression) => expression,
            Err(statements) if statements.is_empty() && sign == Some('(') => {
                return self.wrong("An expression was expected after '('.");
            }
            Err(statements) if statements.is_empty() => Expr::Array(Vec::new()),
            Err(statements) => Expr::Nested(statements),
        };
        Ok(if sign == Some('@') { Expr::List(Box::new(inner)) } else { inner })
    }

    fn table(&mut self) -> Parsed<Expr> {
        self.at += 2;
        let mut entries = Vec::new();
        loop {
            self.blank(true);
            match self.peek() {
                None => return self.unfinished("Missing closing '}' in hash literal."),
                Some('}') => {
                    self.at += 1;
                    return Ok(Expr::Table(entries));
                }
                Some(';') => {
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            let key =
                if self.peek().is_some_and(is_name) && !self.peek().is_some_and(|one| one.is_ascii_digit()) {
                    Expr::text(self.name())
                } else {
                    self.primary()?
                };
            self.blank(true);
            match self.peek() {
                Some('=') => self.at += 1,
                None => return self.unfinished("Missing '=' operator after key in hash literal."),
                Some(_) => return self.wrong("Missing '=' operator after key in hash literal."),
            }
            self.blank(true);
            if self.peek().is_none() {
                return self.unfinished("Missing statement after '=' in hash literal.");
            }
            let value = if self.begins_expression() {
                self.expression()?
            } else {
                Expr::Nested(vec![self.statement()?])
            };
            entries.push((key, value));
            self.blank(false);
            if !matches!(self.peek(), None | Some(';' | '}' | '\n')) {
                return self
                    .wrong("The hash literal was incomplete: entries are divided by ';' or a new line.");
            }
        }
    }

    pub(super) fn variable(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        let braced = self.take('{');
        let name = if self.take('?') { "?".to_owned() } else { self.name() };
        if braced && !self.take('}') {
            if self.peek().is_none() {
                return self.unfinished("Missing closing '}' in a variable's name.");
            }
            return self.script_at(start, "A variable of another scope or drive");
        }
        self.known(start, &name)?;
        Ok(match name.to_lowercase().as_str() {
            "" if matches!(self.peek(), Some('$' | '^')) => return self.script_at(start, "This variable"),
            "" => return self.wrong_at(start, "A variable's name is missing after '$'."),
            "true" => Expr::Literal(Value::Bool(true)),
            "false" => Expr::Literal(Value::Bool(false)),
            "null" => Expr::Literal(Value::Null),
            _ if self.peek() == Some(':') && self.peek_at(1).is_some_and(is_name) => {
                return self.script_at(start, "A variable of another scope or drive");
            }
            "psitem" => Expr::Variable("_".into()),
            _ => Expr::Variable(name),
        })
    }

    fn type_literal(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        while let Some(letter) = self.next() {
            match letter {
                ']' if name.ends_with('[') => name.push(']'),
                ']' => break,
                letter => name.push(letter),
            }
        }
        if self.peek() == Some(':') {
            return self.script_at(start, "A static member");
        }
        if self
            .peek()
            .is_some_and(|next| !next.is_whitespace() && !matches!(next, ')' | '}' | ';' | '|' | ','))
        {
            return self.script_at(start, "A conversion");
        }
        Ok(Expr::Type(name.trim().to_owned()))
    }

    fn path(&mut self, value: Expr) -> Parsed<Expr> {
        let mut value = value;
        let mut long = 0;
        loop {
            long += 1;
            if long > MAX_DEPTH {
                return self.wrong("The text is nested too deeply.");
            }
            value = match (self.peek(), self.peek_at(1)) {
                (Some('.'), Some(next))
                    if is_name(next) || is_single_quote(next) || is_double_quote(next) || next == '$' =>
                {
                    self.at += 1;
                    let name = match next {
                        '$' => self.variable()?,
                        next if is_name(next) => Expr::text(self.name()),
                        _ => self.quoted()?,
                    };
                    if self.peek() == Some('(') {
                        return self.script("A method");
                    }
                    Expr::Member(Box::new(value), Box::new(name))
                }
                (Some(':'), Some(':')) => return self.script("A static member"),
                (Some('?'), Some('.' | '[')) => return self.script("'?.'"),
                (Some('['), _) if !matches!(value, Expr::Type(_)) => {
                    self.at += 1;
                    self.blank(true);
                    if self.peek().is_none() {
                        return self.unfinished("Missing ']' after array index expression.");
                    }
                    let index = self.expression()?;
                    self.blank(true);
                    match self.next() {
                        Some(']') => Expr::Index(Box::new(value), Box::new(index)),
                        None => return self.unfinished("Missing ']' after array index expression."),
                        Some(_) => return self.wrong("Missing ']' after array index expression."),
                    }
                }
                _ => return Ok(value),
            };
        }
    }
}

/// Returns the expression if the statements are a single expression; otherwise the statements.
fn computed(mut statements: Vec<Statement>) -> Result<Expr, Vec<Statement>> {
    let alone = matches!(
        statements.as_slice(),
        [Statement { assign: None, pipeline, redirections, .. }]
            if redirections.is_empty() && matches!(pipeline.as_slice(), [Element::Expression(_)])
    );
    match (alone, statements.pop()) {
        (true, Some(Statement { mut pipeline, .. })) => match pipeline.pop() {
            Some(Element::Expression(expression)) => Ok(expression),
            _ => Err(Vec::new()),
        },
        (_, last) => {
            statements.extend(last);
            Err(statements)
        }
    }
}
