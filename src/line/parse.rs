//! From text to [`Statement`]s. PowerShell's command mode: what a person types at a prompt.

use super::syntax::{Access, Arg, CommandLine, Element, Expr, Statement, SyntaxError};

/// Nesting of parentheses and braces.
const MAX_DEPTH: usize = 32;
/// Words that begin what only a script engine can run.
const KEYWORDS: [&str; 18] = [
    "if", "else", "foreach", "for", "while", "do", "switch", "function", "filter", "param", "try", "catch",
    "trap", "throw", "return", "class", "enum", "using",
];

/// Reads a text of one or more statements.
pub fn parse(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    Parser { letters: text.char_indices().collect(), at: 0, length: text.len(), depth: 0 }.statements()
}

struct Parser {
    letters: Vec<(usize, char)>,
    at: usize,
    length: usize,
    depth: usize,
}

fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '\u{2013}' | '\u{2014}' | '\u{2015}')
}

fn is_single_quote(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

fn is_double_quote(letter: char) -> bool {
    matches!(letter, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

fn ends_word(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '|' | ';' | ',' | '(' | ')' | '{' | '}' | '&' | '<' | '>')
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser {
    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).map(|(_, letter)| *letter)
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += usize::from(letter.is_some());
        letter
    }

    fn offset(&self) -> usize {
        self.letters.get(self.at).map_or(self.length, |(offset, _)| *offset)
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let from = self.offset();
        Err(SyntaxError { message: message.into(), span: from..self.length.max(from), incomplete: false })
    }

    fn unfinished<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let at = self.length;
        Err(SyntaxError { message: message.into(), span: at..at, incomplete: true })
    }

    fn script<T>(&self, what: &str) -> Parsed<T> {
        self.wrong(format!(
            "{what} needs PowerShell's script engine, which the console does not have. Run it in pwsh."
        ))
    }

    /// White space, continued lines and comments; line ends too where `lines` is set.
    fn blank(&mut self, lines: bool) {
        while let Some(letter) = self.peek() {
            match letter {
                '`' if matches!(self.peek_at(1), Some('\n' | '\r')) => {
                    self.at += 2;
                    if self.peek() == Some('\n') {
                        self.at += 1;
                    }
                }
                '#' => {
                    while self.peek().is_some_and(|letter| letter != '\n') {
                        self.at += 1;
                    }
                }
                '\n' if !lines => return,
                letter if letter.is_whitespace() => self.at += 1,
                _ => return,
            }
        }
    }

    fn statements(mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            self.blank(true);
            match self.peek() {
                None => return Ok(statements),
                Some(';') => self.at += 1,
                Some(_) => statements.push(self.statement()?),
            }
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let assign = self.assignment();
        let mut pipeline = Vec::new();
        loop {
            self.blank(!pipeline.is_empty());
            let Some(letter) = self.peek() else {
                return self.unfinished("An empty pipe element is not allowed.");
            };
            let is_value = is_single_quote(letter)
                || is_double_quote(letter)
                || matches!(letter, '$' | '@' | '(' | '[')
                || letter.is_ascii_digit()
                || (is_dash(letter) && self.peek_at(1).is_some_and(|next| next.is_ascii_digit()));
            if is_value {
                if !pipeline.is_empty() {
                    return self.wrong("Expressions are only allowed as the first element of a pipeline.");
                }
                pipeline.push(Element::Expression(self.list()?));
            } else {
                pipeline.push(Element::Command(self.command()?));
            }
            self.blank(false);
            match self.peek() {
                Some('|') if self.peek_at(1) == Some('|') => return self.script("'||'"),
                Some('|') => self.at += 1,
                Some('\n' | ';') | None => return Ok(Statement { assign, pipeline }),
                Some('&') => return self.script("'&'"),
                Some('>') => return self.wrong("Redirection is not offered here: use | Out-File PATH."),
                Some(_) => return self.script("An operator"),
            }
        }
    }

    /// `$x = `, if that is what comes.
    fn assignment(&mut self) -> Option<String> {
        let start = self.at;
        if self.peek() == Some('$') {
            self.at += 1;
            let name = self.name();
            self.blank(false);
            if !name.is_empty() && self.peek() == Some('=') && self.peek_at(1) != Some('=') {
                self.at += 1;
                return Some(name);
            }
        }
        self.at = start;
        None
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(|letter| is_name(*letter)) {
            name.push(letter);
            self.at += 1;
        }
        name
    }

    fn command(&mut self) -> Parsed<CommandLine> {
        if matches!(self.peek(), Some('&' | '.')) && self.peek_at(1).is_none_or(char::is_whitespace) {
            return self.script("The call operator");
        }
        let name = self.word();
        if name.is_empty() {
            return self.wrong("An empty pipe element is not allowed.");
        }
        if KEYWORDS.iter().any(|one| one.eq_ignore_ascii_case(&name)) {
            return self.script(&format!("'{name}'"));
        }
        let mut arguments = Vec::new();
        loop {
            self.blank(false);
            match self.peek() {
                None | Some('|' | ';' | '\n' | '&') => return Ok(CommandLine { name, arguments }),
                Some('>') => return self.wrong("Redirection is not offered here: use | Out-File PATH."),
                Some(')' | '}') => return self.wrong("Unexpected token: nothing is open here."),
                Some(letter)
                    if is_dash(letter) && self.peek_at(1).is_some_and(|next| next.is_alphabetic()) =>
                {
                    arguments.push(self.parameter()?);
                }
                Some(_) => arguments.push(Arg::Value(self.list()?)),
            }
        }
    }

    fn parameter(&mut self) -> Parsed<Arg> {
        self.at += 1;
        let name = self.name();
        if self.peek() != Some(':') {
            return Ok(Arg::Parameter { name, value: None });
        }
        self.at += 1;
        self.blank(false);
        Ok(Arg::Parameter { name, value: Some(self.list()?) })
    }

    /// A bare word, as a command's name or an argument is.
    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(letter) = self.peek().filter(|letter| !ends_word(*letter)) {
            self.at += 1;
            match letter {
                '`' => word.extend(self.next()),
                letter => word.push(letter),
            }
        }
        word
    }

    /// One value, or several with commas between them.
    fn list(&mut self) -> Parsed<Expr> {
        let first = self.value()?;
        let mut all = vec![first];
        loop {
            let before = self.at;
            self.blank(false);
            if self.peek() != Some(',') {
                self.at = before;
                break;
            }
            self.at += 1;
            self.blank(true);
            if self.peek().is_none() {
                return self.unfinished("Missing expression after ','.");
            }
            all.push(self.value()?);
        }
        Ok(if all.len() == 1 { all.swap_remove(0) } else { Expr::Array(all) })
    }

    fn value(&mut self) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.wrong("This is nested too deeply.");
        }
        let value = match (self.peek(), self.peek_at(1)) {
            (Some('@'), Some('(')) => self.group(2),
            (Some('@'), Some('{')) => self.table(),
            (Some('@'), Some(quote)) if is_single_quote(quote) || is_double_quote(quote) => {
                self.here_string()
            }
            (Some('@'), _) => self.script("Splatting"),
            (Some('('), _) => self.group(1),
            (Some('{'), _) => self.block(),
            (Some('$'), Some('(')) => self.script("'$(…)'"),
            (Some('$'), _) => self.variable(),
            (Some('['), _) => self.script("A type literal"),
            (Some(quote), _) if is_single_quote(quote) => self.single_quoted(),
            (Some(quote), _) if is_double_quote(quote) => self.double_quoted(),
            (Some(_), _) => {
                let word = self.word();
                if word.is_empty() {
                    self.wrong("A value is missing.")
                } else {
                    Ok(number(&word).unwrap_or(Expr::Text(word)))
                }
            }
            (None, _) => self.unfinished("A value is missing."),
        };
        self.depth -= 1;
        value
    }

    /// `(…)` and `@(…)`: values, no commands.
    fn group(&mut self, opening: usize) -> Parsed<Expr> {
        self.at += opening;
        self.blank(true);
        if opening == 2 && self.peek() == Some(')') {
            self.at += 1;
            return Ok(Expr::Array(Vec::new()));
        }
        if self.peek().is_some_and(char::is_alphabetic) {
            return self.script("A command in parentheses");
        }
        let inner = self.list()?;
        self.blank(true);
        match self.peek() {
            Some(')') => self.at += 1,
            None => return self.unfinished("Missing closing ')' in expression."),
            Some(_) => return self.script("An operator"),
        }
        Ok(match inner {
            array @ Expr::Array(_) => array,
            one if opening == 2 => Expr::Array(vec![one]),
            one => one,
        })
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
            let quoted = self.peek().is_some_and(|one| is_single_quote(one) || is_double_quote(one));
            let key = if quoted { self.value()? } else { Expr::Text(self.name()) };
            self.blank(true);
            match self.next() {
                Some('=') => {}
                None => return self.unfinished("Missing '=' operator after key in hash literal."),
                Some(_) => return self.wrong("Missing '=' operator after key in hash literal."),
            }
            self.blank(true);
            entries.push((key, self.list()?));
        }
    }

    fn block(&mut self) -> Parsed<Expr> {
        self.at += 1;
        let mut text = String::new();
        let mut open = 1;
        while let Some(letter) = self.next() {
            match letter {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(Expr::Block(text));
            }
            text.push(letter);
            if is_single_quote(letter) || is_double_quote(letter) {
                let same = if is_single_quote(letter) { is_single_quote } else { is_double_quote };
                while let Some(inner) = self.next() {
                    text.push(inner);
                    if same(inner) {
                        break;
                    }
                }
            }
        }
        self.unfinished("Missing closing '}' in statement block or type definition.")
    }

    fn variable(&mut self) -> Parsed<Expr> {
        self.at += 1;
        let name = self.name();
        match name.to_lowercase().as_str() {
            "" => return self.wrong("A variable's name is missing after '$'."),
            "true" => return Ok(Expr::Bool(true)),
            "false" => return Ok(Expr::Bool(false)),
            "null" => return Ok(Expr::Null),
            _ if self.peek() == Some(':') => return self.script("A variable of another scope or drive"),
            _ => {}
        }
        let path = self.path()?;
        Ok(Expr::Variable { name, path })
    }

    fn path(&mut self) -> Parsed<Vec<Access>> {
        let mut path = Vec::new();
        loop {
            match (self.peek(), self.peek_at(1)) {
                (Some('.'), Some(next)) if is_name(next) => {
                    self.at += 1;
                    path.push(Access::Property(self.name()));
                    if self.peek() == Some('(') {
                        return self.script("A method");
                    }
                }
                (Some('['), _) => {
                    let close = (self.at..self.letters.len()).find(|at| self.letters[*at].1 == ']');
                    let Some(close) = close else {
                        return self.unfinished("Missing ']' after array index expression.");
                    };
                    let text: String =
                        self.letters[self.at + 1..close].iter().map(|(_, letter)| *letter).collect();
                    let Ok(index) = text.trim().parse() else { return self.script("This index") };
                    self.at = close + 1;
                    path.push(Access::Index(index));
                }
                _ => return Ok(path),
            }
        }
    }

    fn single_quoted(&mut self) -> Parsed<Expr> {
        self.at += 1;
        let mut text = String::new();
        while let Some(letter) = self.next() {
            if !is_single_quote(letter) {
                text.push(letter);
            } else if self.peek().is_some_and(is_single_quote) {
                text.push(letter);
                self.at += 1;
            } else {
                return Ok(Expr::Text(text));
            }
        }
        self.unfinished("The string is missing the terminator: '.")
    }

    fn double_quoted(&mut self) -> Parsed<Expr> {
        self.at += 1;
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(letter) = self.peek() {
            if is_double_quote(letter) {
                self.at += 1;
                if !self.peek().is_some_and(is_double_quote) {
                    return Ok(joined(parts, text));
                }
                self.at += 1;
                text.push(letter);
            } else {
                self.expandable(&mut parts, &mut text)?;
            }
        }
        self.unfinished("The string is missing the terminator: \".")
    }

    /// One letter of a string in double quotes, or what stands for it.
    fn expandable(&mut self, parts: &mut Vec<Expr>, text: &mut String) -> Parsed<()> {
        match (self.peek(), self.peek_at(1)) {
            (Some('`'), Some(escaped)) => {
                self.at += 2;
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '0' => '\0',
                    'e' => '\u{1b}',
                    other => other,
                });
            }
            (Some('$'), Some('(')) => return self.script("'$(…)'"),
            (Some('$'), Some(next)) if is_name(next) => {
                self.at += 1;
                let name = self.name();
                parts.push(Expr::Text(std::mem::take(text)));
                // In a string, `.Property` is text.
                parts.push(match name.to_lowercase().as_str() {
                    "true" => Expr::Bool(true),
                    "false" => Expr::Bool(false),
                    "null" => Expr::Null,
                    _ => Expr::Variable { name, path: Vec::new() },
                });
            }
            _ => text.extend(self.next()),
        }
        Ok(())
    }

    fn here_string(&mut self) -> Parsed<Expr> {
        let plain = self.peek_at(1).is_some_and(is_single_quote);
        self.at += 2;
        while let Some(letter) = self.next() {
            if letter == '\n' {
                break;
            }
            if !letter.is_whitespace() {
                return self.wrong(
                    "No characters are allowed after a here-string header but before the end of the line.",
                );
            }
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut fresh = true;
        while let Some(letter) = self.peek() {
            let quote = if plain { is_single_quote(letter) } else { is_double_quote(letter) };
            if fresh && quote && self.peek_at(1) == Some('@') {
                self.at += 2;
                let kept = text.trim_end_matches('\n').len().max(text.len().saturating_sub(1));
                text.truncate(kept);
                return Ok(joined(parts, text));
            }
            fresh = letter == '\n';
            if plain {
                text.push(letter);
                self.at += 1;
            } else {
                self.expandable(&mut parts, &mut text)?;
            }
        }
        self.unfinished("The string is missing the terminator: '@.")
    }
}

fn joined(mut parts: Vec<Expr>, text: String) -> Expr {
    if parts.is_empty() {
        return Expr::Text(text);
    }
    parts.push(Expr::Text(text));
    Expr::Parts(parts)
}

/// A word that is a number: `12`, `-3.5`, `0x1F`, `10mb`, `5l`.
fn number(word: &str) -> Option<Expr> {
    let lower = word.to_lowercase();
    let (digits, times) = ["kb", "mb", "gb", "tb"]
        .iter()
        .zip([1_i64 << 10, 1 << 20, 1 << 30, 1 << 40])
        .find_map(|(unit, times)| Some((lower.strip_suffix(unit)?, times)))
        .unwrap_or((lower.as_str(), 1));
    if let Some(hexadecimal) = lower.strip_prefix("0x") {
        return i64::from_str_radix(hexadecimal, 16).ok().map(Expr::Integer);
    }
    let first = digits.trim_start_matches(['-', '+']).chars().next()?;
    if !first.is_ascii_digit() && first != '.' {
        return None;
    }
    if let Ok(whole) = digits.strip_suffix('l').unwrap_or(digits).parse::<i64>() {
        return whole.checked_mul(times).map(Expr::Integer);
    }
    // `1e5` is a number; `1.2.3` and `12abc` are words.
    digits
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(|number| Expr::Double(number * times as f64))
}
