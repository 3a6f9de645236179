//! What is done where no keyring can be used: the other sources of a password.

use std::io::{BufRead as _, IsTerminal as _};

use miette::IntoDiagnostic as _;

use crate::profile::CredentialSource;
use crate::screen::{self, Stream};

/// Lets the user choose another source of the password of a profile that is about to be written.
///
/// # Errors
/// There is no terminal to ask in (`asks`: or nobody to be asked), or nothing was chosen. The error
/// holds the lines for the profile.
pub fn instead(name: &str, reason: &str, asks: bool) -> miette::Result<CredentialSource> {
    if !asks || !std::io::stdin().is_terminal() || !Stream::Error.is_terminal() {
        return Err(unusable(name, reason));
    }
    crate::tell!(
        "The keyring can't be used: {reason}\n\
         Where is the password of '{name}' to come from instead?\n\
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

/// The error where a password is to be stored and no keyring works.
pub fn unusable(name: &str, reason: &str) -> miette::Report {
    miette::miette!(
        help = format!(
            "on Linux a Secret Service (gnome-keyring, KWallet, KeePassXC) must run in this D-Bus session and be \
             unlocked. Without a keyring, `lyncsh add {name}` takes --prompt or --credential-command COMMAND, and the \
             profile has one of these lines:\n\
             \x20 credential = \"prompt\"\n\
             \x20 credential = {{ command = \"a command that prints the password\" }}"
        ),
        "the password of '{name}' can't be stored, because the keyring can't be used: {reason}"
    )
}

fn answer(question: &str) -> miette::Result<String> {
    let mut line = String::new();
    screen::question(question)
        .and_then(|()| std::io::stdin().lock().read_line(&mut line))
        .into_diagnostic()?;
    Ok(line.trim().to_owned())
}
