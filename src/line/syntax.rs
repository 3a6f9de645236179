//! Syntax tree of a line.

use std::ops::Range;

use crate::psrp::clixml::Value;

/// A statement: a pipeline and the target of its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// `$x = …`
    pub assign: Option<String>,
    pub pipeline: Vec<Element>,
    /// Redirections such as `> file` and `2>&1`, in order.
    pub redirections: Vec<Redirection>,
    /// Byte offset in the text.
    pub at: usize,
}

/// One part of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    Command(CommandLine),
    /// A value; only as the first part.
    Expression(Expr),
    /// Statements run for each object of the part before.
    Repeat(Repeat),
}

/// `ForEach-Object { Set-CsUser $_ … }` or `foreach ($x in …) { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// Variable with the current object.
    pub variable: String,
    pub body: Vec<Statement>,
}

/// A command with its unevaluated arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandLine {
    pub name: String,
    pub arguments: Vec<Arg>,
    /// Byte offset of the name in the text.
    pub at: usize,
    /// Byte offset of each argument.
    pub places: Vec<usize>,
    /// `. ./script.ps1`
    pub is_dotted: bool,
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

/// An unevaluated expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal(Value),
    /// Parts of a string in double quotes.
    Parts(Vec<Expr>),
    Array(Vec<Expr>),
    /// `@(…)`: always a list.
    List(Box<Expr>),
    Table(Vec<(Expr, Expr)>),
    /// `{ … }`
    Block(Block),
    /// `$name`
    Variable(String),
    /// `.Property`
    Member(Box<Expr>, Box<Expr>),
    /// `[0]`
    Index(Box<Expr>, Box<Expr>),
    /// `[string]`, for `-is`.
    Type(String),
    Unary(UnaryOperator, Box<Expr>),
    Binary(BinaryOperator, Box<Expr>, Box<Expr>),
    /// Pipelines with commands in `( )`, `$( )` or `@( )`, run before the statement.
    Nested(Vec<Statement>),
}

/// A script block. The endpoint may run code that the console cannot, so an unsupported block is an error
/// only if the console has to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub text: String,
    pub body: Result<Vec<Statement>, Vec<SyntaxError>>,
}

/// Unary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    Not,
    Minus,
    Plus,
    Join,
    Split,
    /// `-bnot`
    BitNot,
}

/// Binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    And,
    Or,
    Xor,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Range,
    Format,
    Bitwise(BitwiseOperator),
    /// A word after a dash, such as `-eq`.
    Named(NamedOperator),
}

/// Bitwise operators on integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitwiseOperator {
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// A comparison or text operator, case-sensitive or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedOperator {
    pub operator: Operator,
    /// Set for the case-sensitive form, such as `-ceq`.
    pub sensitive: bool,
}

/// Operators that are words after a dash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Like,
    NotLike,
    Match,
    NotMatch,
    Contains,
    NotContains,
    In,
    NotIn,
    Is,
    IsNot,
    Replace,
    Join,
    Split,
}

/// One redirection of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirection {
    pub from: Stream,
    pub to: Target,
}

/// Redirected stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `1>`, or `>` alone.
    Output,
    /// `2>`
    Error,
    /// `3>`
    Warning,
    /// `4>`
    Verbose,
    /// `5>`
    Debug,
    /// `6>`
    Information,
    /// `*>`
    All,
}

/// Target of a redirection.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `> path`, or `>> path` where `append` is set.
    File { path: Expr, append: bool },
    /// `>&1`: to the output.
    Output,
}

/// Syntax error with its byte range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    pub span: Range<usize>,
    /// Set if more text may complete the statement.
    pub incomplete: bool,
    /// Set if PowerShell itself could run the text.
    pub needs_engine: bool,
}

impl SyntaxError {
    /// Returns an error for text that needs PowerShell's script engine.
    pub fn script(what: &str, span: Range<usize>) -> Self {
        Self { message: super::LineError::script(what).0, span, incomplete: false, needs_engine: true }
    }

    /// Returns an error for invalid text.
    pub fn wrong(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, incomplete: false, needs_engine: false }
    }
}

impl NamedOperator {
    /// Parses an operator name without its dash: `eq`, `ieq`, `ceq`.
    pub fn read(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let plain = |name: &str| {
            Some(match name {
                "eq" => Operator::Eq,
                "ne" => Operator::Ne,
                "gt" => Operator::Gt,
                "ge" => Operator::Ge,
                "lt" => Operator::Lt,
                "le" => Operator::Le,
                "like" => Operator::Like,
                "notlike" => Operator::NotLike,
                "match" => Operator::Match,
                "notmatch" => Operator::NotMatch,
                "contains" => Operator::Contains,
                "notcontains" => Operator::NotContains,
                "in" => Operator::In,
                "notin" => Operator::NotIn,
                "replace" => Operator::Replace,
                "split" => Operator::Split,
                _ => return None,
            })
        };
        let word = |operator, sensitive| Some(Self { operator, sensitive });
        match name.as_str() {
            "is" => return word(Operator::Is, false),
            "isnot" => return word(Operator::IsNot, false),
            "join" => return word(Operator::Join, false),
            _ => {}
        }
        if let Some(operator) = plain(&name) {
            return word(operator, false);
        }
        let sensitive = name.starts_with('c');
        name.strip_prefix(['c', 'i']).and_then(plain).and_then(|operator| word(operator, sensitive))
    }
}

impl Expr {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Literal(Value::String(text.into()))
    }
}
