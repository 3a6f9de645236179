//! Reads a password from the terminal, without echo, or from standard input.

use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::{ExposeSecret as _, SecretString};

use super::error::CredentialError;
use super::first_line;
use crate::keys::{Answer, Echo, LineReader, with_returns};
use crate::screen::{self, Stream};

/// Number of questions on the terminal that are not answered yet.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Returns whether the terminal shows a question: other text would appear on its line.
pub fn is_asking() -> bool {
    OPEN.load(Ordering::SeqCst) > 0
}

/// Maximum number of empty answers to the question for a password.
const MAX_EMPTY: usize = 3;

/// Asks for a password on the terminal, without echo. Asks again after an empty answer: a server could count an empty
/// password as a wrong one, and lock the account.
///
/// # Errors
/// The user presses Ctrl-C or Ctrl-D, or gives [`MAX_EMPTY`] empty answers.
pub async fn ask(question: &str) -> Result<SecretString, CredentialError> {
    let mut shown = question.to_owned();
    for _ in 0..MAX_EMPTY {
        if let Some(password) = ask_once(&shown).await? {
            return Ok(password);
        }
        shown = format!("The answer must not be empty. Ctrl-C cancels.\n{question}");
    }
    Err(CredentialError::NotGiven)
}

/// Asks for a password like [`ask`]; returns `None` after an empty answer.
pub async fn ask_once(question: &str) -> Result<Option<SecretString>, CredentialError> {
    let password = answer(question, Echo::Nothing).await?;
    Ok((!password.expose_secret().is_empty()).then_some(password))
}

/// Asks a question; returns whether the user answers `y`. Returns `false` without a terminal.
pub async fn agrees(question: &str) -> bool {
    let answer = answer(question, Echo::Text).await;
    answer.is_ok_and(|answer| answer.expose_secret().trim().eq_ignore_ascii_case("y"))
}

async fn answer(question: &str, echo: Echo) -> Result<SecretString, CredentialError> {
    if !screen::can_ask() {
        return Err(CredentialError::NoTerminal);
    }
    let question = question.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        OPEN.fetch_add(1, Ordering::SeqCst);
        let answer = LineReader::start().and_then(|reader| {
            let question = with_returns(&Stream::Error.message(&question, 0));
            Stream::Error.write_raw(question.as_bytes())?;
            let answer = reader.read(echo, Stream::Error);
            screen::question("\n")?;
            answer
        });
        OPEN.fetch_sub(1, Ordering::SeqCst);
        answer
    });
    match asked.await {
        Ok(Ok(Answer::Given(secret))) => Ok(secret),
        _ => Err(CredentialError::NotGiven),
    }
}

/// Reads the first line of standard input, for `--password-stdin`.
pub fn read_line() -> Result<SecretString, CredentialError> {
    first_line::read(&mut std::io::stdin().lock())
        .map_err(|error| CredentialError::Input { reason: error.to_string() })?
        .ok_or(CredentialError::NotGiven)
}
