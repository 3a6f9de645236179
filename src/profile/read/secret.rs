//! Secrets that somebody wrote into a profile, where they have no place: they are not shown.

use super::mistake::Mistake;
use crate::profile::nearest::nearest;

/// The words of keys that somebody would write a secret to, which has no place in a profile.
const SECRETS: [&str; 7] = ["password", "passwort", "passwd", "pwd", "secret", "token", "credential"];

pub(super) fn is_secret(key: &str) -> bool {
    // A misspelt one, too.
    SECRETS.iter().any(|word| key.to_lowercase().contains(word)) || nearest(key.trim(), SECRETS).is_some()
}

/// The text as it may be shown: what stands wrongly where a secret would be is covered, at its length.
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
