//! Masks secrets in a profile's text when mistakes are shown.

use super::mistake::Mistake;

/// Words in the names of keys that may contain a secret.
const SECRETS: [&str; 7] = ["password", "passwort", "passwd", "pwd", "secret", "token", "credential"];

/// Minimum Jaro-Winkler similarity of a misspelt key to a word of [`SECRETS`]. It is low, because masking too much does
/// no harm.
const MIN_SIMILARITY: f64 = 0.8;

pub(super) fn is_secret(key: &str) -> bool {
    let key = key.trim().to_lowercase();
    SECRETS.iter().any(|word| key.contains(word) || strsim::jaro_winkler(&key, word) >= MIN_SIMILARITY)
}

/// Values of `credential` that name a source.
const SOURCES: [&str; 3] = ["\"keyring\"", "\"prompt\"", "\"system\""];

/// Returns the text for display: values that may be a secret are masked, also on lines that surround a mistake.
pub(super) fn mask_secrets(text: &str, mistakes: &[Mistake]) -> String {
    let mut at = 0;
    // The end of a multi-line value.
    let mut until: Option<&str> = None;
    let lines = text.split_inclusive('\n').map(|line| {
        let range = at..at + line.len();
        at = range.end;
        if let Some(end) = until {
            if line.contains(end) {
                until = None;
            }
            return masked(line);
        }
        let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
        let is_wrong = mistakes.iter().any(|mistake| range.contains(&mistake.span.start));
        let value_text = value.split('#').next().unwrap_or_default().trim();
        let is_source = ["credential", "proxy_credential"].contains(&key.trim())
            && (SOURCES.contains(&value_text) || value_text.starts_with('{'));
        if has_user(value) {
            return format!("{key}={}", masked(value));
        }
        if !is_secret(key) || (is_source && !is_wrong) {
            return line.to_owned();
        }
        until = [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")].into_iter().find_map(
            |(start, end)| {
                let rest = value.trim_start().strip_prefix(start)?;
                (!rest.contains(end)).then_some(end)
            },
        );
        format!("{key}={}", masked(value))
    });
    lines.collect()
}

/// Returns whether a value contains a URI with a user, and so perhaps a password.
fn has_user(value: &str) -> bool {
    let authority =
        value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Masks a text, keeping its length in bytes.
pub(super) fn masked(text: &str) -> String {
    let mask = |one: char| {
        if one.is_ascii_graphic() || !one.is_ascii() { "*".repeat(one.len_utf8()) } else { one.to_string() }
    };
    text.chars().map(mask).collect()
}
