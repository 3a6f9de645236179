//! What a line is made of, once it is parsed.

use std::ops::Range;

/// One statement: a pipeline, and where its objects go.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// `$x = …`
    pub assign: Option<String>,
    pub pipeline: Vec<Element>,
}

/// One part of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    Command(CommandLine),
    /// A value; the first part only.
    Expression(Expr),
}

/// A command with its arguments, as they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandLine {
    pub name: String,
    pub arguments: Vec<Arg>,
}

/// One argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// `-Name`, or `-Name:value`.
    Parameter {
        name: String,
        value: Option<Expr>,
    },
    Value(Expr),
}

/// A value before its variables are looked up.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Null,
    Bool(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    /// A string in double quotes, in its parts.
    Parts(Vec<Expr>),
    Array(Vec<Expr>),
    Table(Vec<(Expr, Expr)>),
    /// `{ … }`, its text.
    Block(String),
    /// `$name`, and what is asked of it.
    Variable {
        name: String,
        path: Vec<Access>,
    },
}

/// `.Property` or `[0]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    Property(String),
    Index(i64),
}

/// Why a text is no line, and where (in bytes).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    pub span: Range<usize>,
    /// More text may make it right.
    pub incomplete: bool,
}

impl CommandLine {
    /// The value of a parameter that goes by one of `names` (or a beginning of the first), or the
    /// positional value at `position`.
    pub fn values(&self, name: &str) -> Vec<&Expr> {
        let mut found = Vec::new();
        let mut arguments = self.arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let Arg::Parameter { name: given, value } = argument else { continue };
            let meant = name.get(..given.len()).is_some_and(|start| start.eq_ignore_ascii_case(given));
            if !meant {
                continue;
            }
            match (value, arguments.peek()) {
                (Some(value), _) => found.push(value),
                (None, Some(Arg::Value(value))) => found.push(value),
                (None, _) => {}
            }
        }
        found
    }

    /// `exit`'s code.
    pub fn exit_code(&self) -> Option<u8> {
        match self.arguments.first() {
            Some(Arg::Value(Expr::Integer(code))) => u8::try_from(*code & 0xff).ok(),
            _ => None,
        }
    }
}
