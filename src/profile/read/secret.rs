//! Masks secrets in a profile's text when mistakes are shown.

use super::mistake::Mistake;
use crate::profile::nearest::nearest;

/// Words in the names of keys that may contain a secret.
const SECRETS: [&str; 7] = ["password", "passwort", "passwd", "pwd", "secret", "token", "credential"];

pub(super) fn is_secret(key: &str) -> bool {
    // Includes misspelt words.
    SECRETS.iter().any(|word| key.to_lowercase().contains(word)) || nearest(key.trim(), SECRETS).is_some()
}

/// Returns the text for display: the values of invalid keys that may contain a secret are masked.
pub(super) fn veiled(text: &str, mistakes: &[Mistake]) -> String {
    let mut at = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let range = at..at + line.len();
        at = range.end;
        let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
        let is_wrong = mistakes.iter().any(|mistake| range.contains(&mistake.span.start));
        if !is_wrong || !is_secret(key) {
            return line.to_owned();
        }
        let veil = |one: char| {
            if one.is_ascii_graphic() || !one.is_ascii() {
                "*".repeat(one.len_utf8())
            } else {
                one.to_string()
            }
        };
        format!("{key}={}", value.chars().map(veil).collect::<String>())
    });
    lines.collect()
}
