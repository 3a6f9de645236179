//! Reads a password from the terminal, without echo, or from standard input.

use std::io::{BufRead, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::CredentialError;
use crate::files::text;
use crate::keys::{Answer, Echo};
use crate::screen::{self, Stream};

/// Maximum length of the input.
const MAX_INPUT: u64 = 64 * 1024;

/// Number of questions on the terminal that are not answered yet.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Returns whether the terminal shows a question: other text would appear on its line.
pub fn is_asking() -> bool {
    OPEN.load(Ordering::SeqCst) > 0
}

/// Asks for a password on the terminal, without echo.
pub async fn ask(question: &str) -> Result<SecretString, CredentialError> {
    answer(question, Echo::Nothing).await
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
        let answer = screen::question(&question).and_then(|()| {
            let answer = crate::keys::read_line(echo, Stream::Error);
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
    first_line(&mut std::io::stdin().lock())
}

fn first_line(input: &mut impl BufRead) -> Result<SecretString, CredentialError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    let read = |error| CredentialError::Input { reason: error };
    input.take(MAX_INPUT).read_until(b'\n', &mut bytes).map_err(|error| read(error.to_string()))?;
    if text::is_utf16(&bytes) {
        // The byte 0x0A may be the first half of the line feed, or a part of another character.
        input.take(MAX_INPUT).read_to_end(&mut bytes).map_err(|error| read(error.to_string()))?;
    }
    let text = Zeroizing::new(text::decode(&bytes).map_err(|error| read(error.to_string()))?);
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        _ => Err(CredentialError::NotGiven),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_password_is_read_in_each_windows_encoding() {
        let utf16 =
            |text: &str| format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (plain, marked): (Vec<u8>, Vec<u8>) = (b"s\xc3\xa4cret\nmore".to_vec(), utf16("s\u{e4}cret\r\n"));
        for bytes in [plain, b"\xef\xbb\xbfs\xc3\xa4cret\r\n".to_vec(), marked] {
            assert_eq!(first_line(&mut bytes.as_slice()).unwrap().expose_secret(), "s\u{e4}cret");
        }
        for bytes in [b"".as_slice(), b"\n", b"\xef\xbb\xbf\r\n", b"\xff\xff\n"] {
            assert!(first_line(&mut &*bytes).is_err(), "{bytes:x?}");
        }
    }
}
