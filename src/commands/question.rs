//! Questions at the terminal.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use miette::IntoDiagnostic as _;

use super::usage::usage;
use crate::credential::{self, CredentialError};
use crate::folders::expanded;
use crate::profile::CREDENTIALS_DIRECTORY;
use crate::screen;

/// Asks a question on the terminal. Returns the trimmed answer.
///
/// # Errors
/// The input ends (Ctrl-D).
pub fn answer(question: &str) -> miette::Result<String> {
    let mut line = String::new();
    let length = screen::question(question)
        .and_then(|()| std::io::stdin().lock().read_line(&mut line))
        .into_diagnostic()?;
    if length == 0 {
        crate::errln!("");
        return Err(usage!("no answer: the input has ended"));
    }
    Ok(line.trim().to_owned())
}

/// Asks until there is an answer. Enter accepts `before`.
pub fn ask_line(question: &str, before: Option<&str>) -> miette::Result<String> {
    let shown = before.map(|before| format!(" [{before}]")).unwrap_or_default();
    loop {
        let answer = answer(&format!("{question}{shown}: "))?;
        match (answer.is_empty(), before) {
            (false, _) => return Ok(answer),
            (true, Some(before)) => return Ok(before.to_owned()),
            (true, None) => {}
        }
    }
}

/// Asks for a confirmation until the answer is y, n or Enter, which confirms.
pub fn confirm_default_yes(question: &str) -> miette::Result<bool> {
    loop {
        match answer(question)?.to_lowercase().as_str() {
            "" | "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// Asks for a password file until the password can be read from it. Returns the absolute path.
pub fn password_file(before: Option<&Path>) -> miette::Result<PathBuf> {
    let mut before = before.map(|file| file.display().to_string());
    loop {
        let file = ask_line("The file", before.as_deref())?;
        let path = absolute(&expanded(Path::new(&file)))?;
        let Err(error) = credential::check_file(&path) else { return Ok(path) };
        screen::print_report(&wrong_file(error));
        // The user can correct the file, and press Enter.
        before = Some(file);
    }
}

/// Returns the absolute path of a password file, because a relative path in a profile starts at the profile's folder.
pub fn absolute(file: &Path) -> miette::Result<PathBuf> {
    if file.starts_with(CREDENTIALS_DIRECTORY) {
        return Ok(file.to_owned());
    }
    std::path::absolute(file).into_diagnostic()
}

/// Returns the report of an unreadable password file, without the help, which is about a key of the profile.
pub fn wrong_file(error: CredentialError) -> miette::Report {
    match error {
        CredentialError::File { .. } => usage!("{error}"),
        error => error.into(),
    }
}
