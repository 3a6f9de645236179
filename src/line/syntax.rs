//! What a line is made of, once it is parsed.

use std::ops::Range;

use crate::psrp::clixml::Value;

/// One statement: a pipeline, and where its objects go.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// `$x = …`
    pub assign: Option<String>,
    pub pipeline: Vec<Element>,
    /// `> file`, `2>&1` and their kin, in their order.
    pub redirections: Vec<Redirection>,
    /// Where it begins in the text (in bytes).
    pub at: usize,
}

/// One part of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    Command(CommandLine),
    /// A value; the first part only.
    Expression(Expr),
    /// Statements that are run for each object of what comes before them.
    Repeat(Repeat),
}

/// `ForEach-Object { Set-CsUser $_ … }`, and what `foreach ($x in …) { … }` comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// The variable that holds the object.
    pub variable: String,
    pub body: Vec<Statement>,
}

/// A command with its arguments, as they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandLine {
    pub name: String,
    pub arguments: Vec<Arg>,
    /// Where the name stands in the text (in bytes).
    pub at: usize,
    /// Where each argument stands.
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

/// A value before its variables are looked up.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal(Value),
    /// A string in double quotes, in its parts.
    Parts(Vec<Expr>),
    Array(Vec<Expr>),
    /// `@(…)`: a list in any case.
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
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// Pipelines with commands in `( )`, `$( )` or `@( )`, which run before the statement does.
    Nested(Vec<Statement>),
}

/// A script block. The endpoint may be able to run what the console can't, so a block that was not
/// understood is an error only where the console itself would have to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub text: String,
    pub body: Result<Vec<Statement>, Vec<SyntaxError>>,
}

/// What one value is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    Not,
    Minus,
    Plus,
    Join,
    Split,
    /// `-bnot`
    BitNot,
}

/// What two values are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
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
    Bits(Bits),
    /// A word after a dash, such as `-eq`.
    Word(Word),
}

/// Operators on the bits of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// A comparison, or an operation on text, with its letter's case in mind or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    pub operator: Operator,
    /// `-ceq` and its kin.
    pub sensitive: bool,
}

/// What stands after a dash between two values.
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

/// What is redirected.
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

/// Where it goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `> path`, or `>> path` where `append` is set.
    File { path: Expr, append: bool },
    /// `>&1`: to the output.
    Output,
}

/// Why a text is no line, and where (in bytes).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    pub span: Range<usize>,
    /// More text may make it right.
    pub incomplete: bool,
    /// PowerShell itself could run it.
    pub needs_engine: bool,
}

impl SyntaxError {
    /// A text that only PowerShell's script engine can run.
    pub fn script(what: &str, span: Range<usize>) -> Self {
        Self { message: super::LineError::script(what).0, span, incomplete: false, needs_engine: true }
    }

    /// A text that is wrong, or that means something else.
    pub fn wrong(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, incomplete: false, needs_engine: false }
    }
}

impl Word {
    /// The operator of a name without its dash: `eq`, `ieq`, `ceq`.
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
