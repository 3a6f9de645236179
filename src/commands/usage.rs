//! Usage errors, and the confirmation before a change.

use std::io::{BufRead as _, IsTerminal as _};

use miette::IntoDiagnostic as _;

use crate::cli;
use crate::nearest::nearest;
use crate::profile::StoreError;
use crate::screen::{self, Stream};

/// Asks for a confirmation. Returns whether the answer is y.
///
/// # Errors
/// Standard input or standard error is not a terminal.
pub fn confirm_default_no(question: &str) -> miette::Result<bool> {
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

/// The profile does not exist, and its name is more similar to a command than to a profile.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("there is no profile or command '{word}'")]
#[diagnostic(help("did you mean `lyncsh {command}`?"))]
pub struct SuggestedCommand {
    pub word: String,
    pub command: String,
}

/// Suggests a command if the word is not the name of a profile, and is more similar to a command than to a profile.
pub fn suggest_command(word: &str, error: StoreError) -> miette::Report {
    let StoreError::Missing { near, .. } = &error else { return error.into() };
    let commands = || cli::taken().iter().copied();
    match nearest(word, commands().chain(near.as_deref())) {
        Some(command) if commands().any(|one| one == command) => {
            SuggestedCommand { word: word.to_owned(), command: command.to_owned() }.into()
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
    use crate::profile;

    #[test]
    fn a_misspelled_command_is_suggested() {
        let (_temp, folders) = Folders::temporary();
        let help = |word: &str| {
            let error = profile::connections(&folders, word).unwrap_err();
            suggest_command(word, error).help().unwrap().to_string()
        };
        assert_eq!(help("statsu"), "did you mean `lyncsh status`?");
        assert_eq!(help("Sotp"), "did you mean `lyncsh stop`?");
        assert!(help("contoso").starts_with("create it with `lyncsh add contoso"));
        // A profile of a similar name.
        std::fs::create_dir_all(folders.profiles()).unwrap();
        for name in ["states", "north"] {
            std::fs::write(folders.profile(name), "").unwrap();
        }
        assert!(help("statess").starts_with("did you mean 'states'? Otherwise, create it with"));
        assert!(help("noth").starts_with("did you mean 'north'?"));
        assert_eq!(help("statsu"), "did you mean `lyncsh status`?");
    }
}
