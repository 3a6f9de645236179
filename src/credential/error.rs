//! What fails when a secret is fetched.

/// Why there is no secret.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CredentialError {
    #[error("no password is stored for profile '{profile}'")]
    #[diagnostic(help(
        "store it with `lyncsh login {profile}`, or have it asked for: credential = \"prompt\""
    ))]
    NotStored { profile: String },
    #[error("the keyring can't be used: {reason}")]
    #[diagnostic(help(
        "on Linux a Secret Service (gnome-keyring, KWallet, KeePassXC) must run in this D-Bus session and be \
         unlocked; the other sources of a password are credential = \"prompt\" and credential = {{ command = \"…\" }}"
    ))]
    Keyring { reason: String },
    #[error("the password command of profile '{profile}' {reason}")]
    #[diagnostic(help("run it by hand: its first line of output is taken as the password\n  {command}"))]
    Command { profile: String, command: String, reason: String },
    #[error("a password is to be asked for, and there is no terminal to ask in")]
    #[diagnostic(help(
        "store it in the keyring (`lyncsh add`), or name a command: credential = {{ command = \"…\" }}"
    ))]
    NoTerminal,
    /// Asked for where the system authenticates.
    #[error("profile '{profile}' has no password: it uses the system's ticket")]
    System { profile: String },
    #[error("no password was given")]
    NotGiven,
    #[error("standard input can't be read as a password: {reason}")]
    #[diagnostic(help("pipe in one line of text, in UTF-8"))]
    Input { reason: String },
}
