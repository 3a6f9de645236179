//! `-Filter` of Get-CsOnlineUser: property comparisons joined by -and and -or, as documented.

use crate::psrp::clixml::Value;
use crate::wildcard::like;

/// A parsed filter.
#[derive(Debug, PartialEq)]
pub enum Filter {
    Compare(String, Operator, String),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operator {
    Eq,
    Ne,
    Like,
    NotLike,
    Gt,
    Lt,
    Ge,
    Le,
}

/// Error of parsing a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word follows a complete filter.
    #[error("Unexpected \"{0}\" in the filter.")]
    Unexpected(String),
    /// A quoted value has no closing quotation mark.
    #[error("The filter's quotation marks do not match.")]
    Quotes,
    /// The filter could nest deeper than the stack allows.
    #[error("The filter is too long.")]
    TooLong,
    /// An opening bracket has no closing bracket.
    #[error("A closing bracket is missing in the filter.")]
    Bracket,
    /// A comparison lacks a name, an operator or a value.
    #[error("A comparison in the filter is not complete.")]
    Incomplete,
    /// The second word of a comparison is not an operator.
    #[error("\"{0}\" is not a filter operator.")]
    Operator(String),
}

/// Maximum number of words and brackets. Brackets, `-not`, `-and` and `-or` each add a level to the parsed filter, which
/// is read, evaluated and dropped recursively.
const MAX_WORDS: usize = 1_000;

impl Filter {
    /// Parses `DisplayName -like "K*" -and Enabled -eq $true`, with or without enclosing braces.
    pub fn read(filter: &str) -> Result<Self, FilterError> {
        let words = words(filter.trim().trim_start_matches('{').trim_end_matches('}'))?;
        if words.len() > MAX_WORDS {
            return Err(FilterError::TooLong);
        }
        let mut rest = &words[..];
        let read = any(&mut rest)?;
        if rest.is_empty() { Ok(read) } else { Err(FilterError::Unexpected(rest[0].text.clone())) }
    }

    pub fn accepts(&self, object: &Value) -> bool {
        match self {
            Self::And(left, right) => left.accepts(object) && right.accepts(object),
            Self::Or(left, right) => left.accepts(object) || right.accepts(object),
            Self::Not(inner) => !inner.accepts(object),
            Self::Compare(name, operator, wanted) => {
                let found = object.property(name).map(Value::display_text).unwrap_or_default();
                compare(&found, *operator, wanted)
            }
        }
    }
}

fn compare(found: &str, operator: Operator, wanted: &str) -> bool {
    let ordering = match (found.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(found), Ok(wanted)) => found.total_cmp(&wanted),
        _ => found.to_lowercase().cmp(&wanted.to_lowercase()),
    };
    match operator {
        Operator::Eq => ordering.is_eq(),
        Operator::Ne => ordering.is_ne(),
        Operator::Like => like(wanted, found),
        Operator::NotLike => !like(wanted, found),
        Operator::Gt => ordering.is_gt(),
        Operator::Lt => ordering.is_lt(),
        Operator::Ge => ordering.is_ge(),
        Operator::Le => ordering.is_le(),
    }
}

#[derive(Debug)]
struct Word {
    text: String,
    quoted: bool,
}

fn words(filter: &str) -> Result<Vec<Word>, FilterError> {
    let mut words = Vec::new();
    let mut rest = filter.chars().peekable();
    while let Some(&c) = rest.peek() {
        if c.is_whitespace() {
            rest.next();
        } else if c == '(' || c == ')' {
            rest.next();
            words.push(Word { text: c.to_string(), quoted: false });
        } else if c == '"' || c == '\'' {
            rest.next();
            let mut text = String::new();
            loop {
                match rest.next() {
                    Some(next) if next == c => break,
                    Some(next) => text.push(next),
                    None => return Err(FilterError::Quotes),
                }
            }
            words.push(Word { text, quoted: true });
        } else {
            let mut text = String::new();
            while let Some(next) = rest.next_if(|c| !c.is_whitespace() && !"()\"'".contains(*c)) {
                text.push(next);
            }
            words.push(Word { text, quoted: false });
        }
    }
    Ok(words)
}

fn is(word: Option<&Word>, text: &str) -> bool {
    word.is_some_and(|word| !word.quoted && word.text.eq_ignore_ascii_case(text))
}

fn any(rest: &mut &[Word]) -> Result<Filter, FilterError> {
    let mut left = all(rest)?;
    while is(rest.first(), "-or") {
        *rest = &rest[1..];
        left = Filter::Or(Box::new(left), Box::new(all(rest)?));
    }
    Ok(left)
}

fn all(rest: &mut &[Word]) -> Result<Filter, FilterError> {
    let mut left = one(rest)?;
    while is(rest.first(), "-and") {
        *rest = &rest[1..];
        left = Filter::And(Box::new(left), Box::new(one(rest)?));
    }
    Ok(left)
}

fn one(rest: &mut &[Word]) -> Result<Filter, FilterError> {
    if is(rest.first(), "-not") || is(rest.first(), "!") {
        *rest = &rest[1..];
        return Ok(Filter::Not(Box::new(one(rest)?)));
    }
    if is(rest.first(), "(") {
        *rest = &rest[1..];
        let inner = any(rest)?;
        if !is(rest.first(), ")") {
            return Err(FilterError::Bracket);
        }
        *rest = &rest[1..];
        return Ok(inner);
    }
    let [name, operator, wanted, ..] = rest else {
        return Err(FilterError::Incomplete);
    };
    let operator = match operator.text.to_lowercase().as_str() {
        "-eq" => Operator::Eq,
        "-ne" => Operator::Ne,
        "-like" => Operator::Like,
        "-notlike" => Operator::NotLike,
        "-gt" => Operator::Gt,
        "-lt" => Operator::Lt,
        "-ge" => Operator::Ge,
        "-le" => Operator::Le,
        other => return Err(FilterError::Operator(other.to_owned())),
    };
    let wanted = match wanted.text.to_lowercase().as_str() {
        _ if wanted.quoted => wanted.text.clone(),
        "$true" => "True".into(),
        "$false" => "False".into(),
        "$null" => String::new(),
        _ => wanted.text.clone(),
    };
    let read = Filter::Compare(name.text.clone(), operator, wanted);
    *rest = &rest[3..];
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::engine::value::{custom, properties, text};

    #[test]
    fn filters_compare_properties() {
        let user =
            custom("", properties([("DisplayName", text("Ken Myer")), ("Enabled", Value::Bool(true))]));
        for (filter, accepted) in [
            ("DisplayName -like \"k*\"", true),
            ("{Enabled -eq $true -and DisplayName -ne 'Ken Myer'}", false),
            ("(Enabled -eq $false) -or (DisplayName -eq 'ken myer')", true),
            ("-not Enabled -eq $true", false),
            ("City -eq $null", true),
        ] {
            assert_eq!(Filter::read(filter).unwrap().accepts(&user), accepted, "{filter}");
        }
    }

    #[test]
    fn an_invalid_filter_is_reported() {
        for filter in ["DisplayName", "a -is b", "a -eq 'b", "(a -eq b", "a -eq b c"] {
            assert!(Filter::read(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn a_deep_filter_does_not_overflow_the_stack() {
        let count = 100_000;
        for filter in [
            format!("{} a -eq b", "-not ".repeat(count)),
            format!("{}a -eq b", "(".repeat(count)),
            format!("a -eq b{}", " -or a -eq b".repeat(count)),
            format!("a -eq b{}", " -and a -eq b".repeat(count)),
        ] {
            assert_eq!(Filter::read(&filter), Err(FilterError::TooLong));
        }
        let deepest = format!("{} a -eq b", "! ".repeat(MAX_WORDS - 3));
        assert!(Filter::read(&deepest).unwrap().accepts(&Value::Null));
    }
}
