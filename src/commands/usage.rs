//! Usage errors, and the confirmation before a change.

use std::io::{BufRead as _, IsTerminal as _};

use miette::IntoDiagnostic as _;

use crate::cli;
use crate::profile::{self, StoreError};
use crate::screen::{self, Stream};

/// Asks for a confirmation. Returns whether the answer is y.
///
/// # Errors
/// Standard input or standard error is not a terminal.
pub fn agreed(question: &str) -> miette::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(usage!(help = "pass --yes", "cannot ask for confirmation: stdin is not a terminal"));
    }
    if !Stream::Error.is_terminal() {
        return Err(usage!(help = "pass --yes", "cannot ask for confirmation: stderr is not a terminal"));
    }
    screen::question(question).into_diagnostic()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).into_diagnostic()?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// The profile does not exist, and its name is similar to a command.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("there is no profile or command '{word}'")]
#[diagnostic(help("did you mean `lyncsh {command}`?"))]
pub struct Meant {
    pub word: String,
    pub command: String,
}

/// Suggests a command if the word is not the name of a profile, but is similar to a command.
pub fn meant(word: &str, error: StoreError) -> miette::Report {
    match profile::nearest(word, cli::taken().iter().copied()) {
        Some(command) if matches!(error, StoreError::Missing { .. }) => {
            Meant { word: word.to_owned(), command: command.to_owned() }.into()
        }
        _ => error.into(),
    }
}

/// A usage error. Nothing was changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{text}")]
pub struct Usage {
    pub text: String,
    #[help]
    pub help: Option<String>,
}

/// Creates a report with a [`Usage`], with the syntax of `miette!`.
macro_rules! usage {
    (help = $help:expr, $($text:tt)+) => {
        miette::Report::from($crate::commands::usage::Usage { text: format!($($text)+), help: Some($help.to_string()) })
    };
    ($($text:tt)+) => {
        miette::Report::from($crate::commands::usage::Usage { text: format!($($text)+), help: None })
    };
}
pub(crate) use usage;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::Folders;

    #[test]
    fn a_misspelled_command_is_suggested() {
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        let help = |word: &str| {
            let error = profile::connections(&folders, word).unwrap_err();
            meant(word, error).help().unwrap().to_string()
        };
        assert_eq!(help("statsu"), "did you mean `lyncsh status`?");
        assert_eq!(help("Sotp"), "did you mean `lyncsh stop`?");
        assert!(help("contoso").starts_with("create it with `lyncsh add contoso"));
    }
}
