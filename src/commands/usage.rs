//! Errors of the command line, and the question before something is changed.

use std::io::{BufRead as _, IsTerminal as _};

use miette::IntoDiagnostic as _;

/// Asks a question to be answered with y.
///
/// # Errors
/// Asks for a confirmation.
pub fn agreed(question: &str) -> miette::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(usage!(help = "pass --yes", "cannot ask for confirmation: stdin is not a terminal"));
    }
    crate::out!("{question}");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).into_diagnostic()?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// There is no profile of this name.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("there is no profile '{word}', and no command of that name")]
#[diagnostic(help("did you mean `lyncsh {command}`?"))]
pub struct Meant {
    pub word: String,
    pub command: String,
}

/// A usage error: the command line cannot work here, and nothing was changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{text}")]
pub struct Usage {
    pub text: String,
    #[help]
    pub help: Option<String>,
}

/// A [`Usage`] as a report, written as `miette!` is.
macro_rules! usage {
    (help = $help:expr, $($text:tt)+) => {
        miette::Report::from($crate::commands::usage::Usage { text: format!($($text)+), help: Some($help.to_string()) })
    };
    ($($text:tt)+) => {
        miette::Report::from($crate::commands::usage::Usage { text: format!($($text)+), help: None })
    };
}
pub(crate) use usage;
