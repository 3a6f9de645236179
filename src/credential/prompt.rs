//! A password from the person, without echo, or from standard input.

use std::io::{BufRead, IsTerminal};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::CredentialError;
use crate::keys::{Answer, Echo};
use crate::screen::{self, Stream};

/// Asks on the terminal; nothing is echoed.
pub async fn ask(question: &str) -> Result<SecretString, CredentialError> {
    if !std::io::stdin().is_terminal() || !Stream::Error.is_terminal() {
        return Err(CredentialError::NoTerminal);
    }
    let question = question.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        screen::question(&question)?;
        let answer = crate::keys::read_line(Echo::Nothing, Stream::Error);
        screen::question("\n")?;
        answer
    });
    match asked.await {
        Ok(Ok(Answer::Given(secret))) => Ok(secret),
        _ => Err(CredentialError::NotGiven),
    }
}

/// The first line of standard input, for `--password-stdin`.
pub fn read_line() -> Result<SecretString, CredentialError> {
    let mut line = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().read_line(&mut line);
    match line.trim_end_matches('\n').trim_end_matches('\r') {
        "" => Err(CredentialError::NotGiven),
        text if read.is_ok() => Ok(SecretString::from(text)),
        _ => Err(CredentialError::NotGiven),
    }
}
