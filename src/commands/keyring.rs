//! Choice of another password source if the keyring is not usable.

use super::question::{answer, password_file};
use crate::profile::CredentialSource;
use crate::screen;

/// Lets the user choose another password source for a profile before it is written.
///
/// # Errors
/// There is no terminal, `asks` is false, or the user chose nothing. The error contains the lines for the
/// profile.
pub fn instead(name: &str, reason: &str, asks: bool, exists: bool) -> miette::Result<CredentialSource> {
    if !asks || !screen::can_ask() {
        return Err(unusable(name, reason, exists));
    }
    crate::errln!(
        "The keyring is not usable: {reason}\n\
         Choose another source for the password of '{name}':\n\
         \x20 p  ask for it each time (credential = \"prompt\")\n\
         \x20 c  a command that prints it (credential = {{ command = \"…\" }})\n\
         \x20 f  the first line of a file (credential = {{ file = \"…\" }})"
    );
    loop {
        match answer("p, c, f, or Enter to give up: ")?.to_lowercase().as_str() {
            "p" | "prompt" => return Ok(CredentialSource::Prompt),
            "c" | "command" => {
                let command = answer("The command, for example pass show work: ")?;
                if !command.is_empty() {
                    return Ok(CredentialSource::command(&command));
                }
            }
            "f" | "file" => return password_file(None).map(CredentialSource::File),
            "" => return Err(unusable(name, reason, exists)),
            _ => {}
        }
    }
}

/// Returns the error for a password that cannot be stored in the keyring. `exists`: the profile is written already.
pub fn unusable(name: &str, reason: &str, exists: bool) -> miette::Report {
    let force = if exists { " --force" } else { "" };
    miette::miette!(
        help = format!(
            "on Linux, start and unlock a Secret Service (gnome-keyring, KWallet, KeePassXC) in this D-Bus session. \
             Without a keyring, pass --prompt, --credential-command COMMAND or --credential-file FILE to \
             `lyncsh add {name}{force}`, or write one of these lines into the profile:\n\
             \x20 credential = \"prompt\"\n\
             \x20 credential = {{ command = \"a command that prints the password\" }}\n\
             \x20 credential = {{ file = \"a file with the password in its first line\" }}"
        ),
        "cannot store the password of '{name}': the keyring is not usable: {reason}"
    )
}
