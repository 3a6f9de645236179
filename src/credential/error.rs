//! Errors of fetching a secret.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CredentialError {
    /// The keyring works, but has no entry for the profile's secret.
    #[error("no password is stored for profile '{profile}'")]
    #[diagnostic(help(
        "store it with `lyncsh login {profile}`, or set credential = \"prompt\" in the profile"
    ))]
    NotStored { profile: String },
    /// The keyring works, but has no entry for the password of `proxy_user`.
    #[error("no password for the proxy is stored for profile '{profile}'")]
    #[diagnostic(help(
        "store it with `lyncsh login {profile} --proxy`, or set proxy_credential = \"prompt\" in the profile"
    ))]
    ProxyNotStored { profile: String },
    /// The keyring is locked, is not running, does not answer in time, or reports an error.
    #[error("the keyring is not usable: {reason}")]
    #[diagnostic(help(
        "on Linux, start and unlock a Secret Service (gnome-keyring, KWallet, KeePassXC) in this D-Bus session; or set \
         credential = \"prompt\", credential = {{ file = \"…\" }} or credential = {{ command = \"…\" }} in the profile"
    ))]
    Keyring { reason: String },
    /// The command of `credential` could not run, ended with an error or too late, or printed no valid text.
    #[error("the password command of profile '{profile}' {reason}")]
    #[diagnostic(help(
        "run the command by hand{} and check that its first line of output is the password\n  {command}",
        in_folder(folder)
    ))]
    Command { profile: String, command: String, folder: PathBuf, reason: String },
    /// The file of `credential` is missing, is not a regular file, or has no text in its first line.
    #[error("cannot read the secret in {path}: {reason}")]
    #[diagnostic(help("correct `file` of credential in the profile"))]
    File { path: PathBuf, reason: String },
    /// The permissions or the owner of the file of `credential` let other users read it.
    #[error("refusing the secret in {path}: other users can read the file")]
    #[diagnostic(help("run: chmod 600 '{}'", path.display()))]
    Exposed { path: PathBuf },
    /// The path starts with `$CREDENTIALS_DIRECTORY`, but no systemd service with credentials started lyncsh.
    #[error("cannot read {path}: the environment variable CREDENTIALS_DIRECTORY is not set")]
    #[diagnostic(help(
        "run lyncsh in a systemd service with LoadCredential= or LoadCredentialEncrypted=, or write the whole path"
    ))]
    NoCredentialsDirectory { path: PathBuf },
    /// The secret must be entered (`credential = "prompt"`), and standard input or error is not a terminal.
    #[error("cannot prompt for a password: no terminal")]
    #[diagnostic(help(
        "store it with `lyncsh login`, or set credential = {{ command = \"…\" }} in the profile"
    ))]
    NoTerminal,
    /// A password was requested although the system authenticates.
    #[error("profile '{profile}' has no password: it uses the system's ticket")]
    System { profile: String },
    /// The user pressed Ctrl-C or Ctrl-D or gave only empty answers, or standard input was empty.
    #[error("no password was entered")]
    NotGiven,
    /// Standard input of `--password-stdin` could not be read, or its first line is not UTF-8.
    #[error("cannot read a password from standard input: {reason}")]
    #[diagnostic(help("pass one line of UTF-8 text"))]
    Input { reason: String },
}

/// Returns the folder of a command for messages; empty for the folder of the process.
fn in_folder(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { String::new() } else { format!(" in the folder {}", folder.display()) }
}
