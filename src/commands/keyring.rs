//! Choice of another password source if the keyring is not usable.

use std::io::BufRead as _;

use miette::IntoDiagnostic as _;

use super::usage::usage;
use crate::profile::CredentialSource;
use crate::screen;

/// Lets the user choose another password source for a profile before it is written.
///
/// # Errors
/// There is no terminal, `asks` is false, or the user chose nothing. The error contains the lines for the
/// profile.
pub fn instead(name: &str, reason: &str, asks: bool) -> miette::Result<CredentialSource> {
    if !asks || !screen::can_ask() {
        return Err(unusable(name, reason));
    }
    crate::errln!(
        "The keyring is not usable: {reason}\n\
         Choose another source for the password of '{name}':\n\
         \x20 p  ask for it each time (credential = \"prompt\")\n\
         \x20 c  a command that prints it (credential = {{ command = \"…\" }})"
    );
    loop {
        match answer("p, c, or Enter to give up: ")?.to_lowercase().as_str() {
            "p" | "prompt" => return Ok(CredentialSource::Prompt),
            "c" | "command" => {
                let command = answer("The command, for example pass show work: ")?;
                if !command.is_empty() {
                    return Ok(CredentialSource::Command(command));
                }
            }
            "" => return Err(unusable(name, reason)),
            _ => {}
        }
    }
}

/// Returns the error for a password that cannot be stored in the keyring.
pub fn unusable(name: &str, reason: &str) -> miette::Report {
    miette::miette!(
        help = format!(
            "on Linux, start and unlock a Secret Service (gnome-keyring, KWallet, KeePassXC) in this D-Bus session. \
             Without a keyring, pass --prompt or --credential-command COMMAND to `lyncsh add {name}`, or write one of \
             these lines into the profile:\n\
             \x20 credential = \"prompt\"\n\
             \x20 credential = {{ command = \"a command that prints the password\" }}"
        ),
        "cannot store the password of '{name}': the keyring is not usable: {reason}"
    )
}

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
