//! One key's value, or the mistake in it.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;
use url::Url;

use super::mistake::Mistake;
use super::reader::Reader;
use super::secret::is_secret;
use crate::profile::nearest::nearest;

/// The longest time that a profile can name.
const LONGEST: Duration = Duration::from_hours(168);

impl Reader<'_> {
    pub(super) fn duration(&mut self, table: &DeTable<'_>, key: &str) -> Option<Duration> {
        let value = table.get(key)?;
        let read = value.get_ref().as_str().and_then(|text| humantime::parse_duration(text).ok());
        if read.is_none() {
            self.mistake(
                value.span(),
                "expected a duration in quotes, for example \"30s\", \"10m\" or \"1h 30m\"",
            );
        }
        if read.is_some_and(|duration| duration > LONGEST) {
            self.mistake(value.span(), "no session lives that long; a week (\"7days\") is the longest");
            return None;
        }
        read
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.table.get(key)?;
        let read = value.get_ref().as_bool();
        if read.is_none() {
            self.mistake(value.span(), "expected true or false");
        }
        read
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.table.get(key)?;
        match value.get_ref().as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => {
                self.mistake(value.span(), format!("{key} is empty"));
                None
            }
            None => {
                self.mistake(
                    value.span(),
                    format!("expected text in quotes, this is a {}", value.get_ref().type_str()),
                );
                None
            }
        }
    }

    pub(super) fn url(&mut self, key: &str) -> Option<Url> {
        let text = self.text(key)?;
        match Url::parse(&text) {
            Ok(url) => Some(url),
            Err(error) => {
                self.mistake(self.span(key), format!("expected a URI such as https://host/path: {error}"));
                None
            }
        }
    }

    pub(super) fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str], place: &str) {
        for key in table.keys() {
            let word = key.get_ref().as_ref();
            if !known.contains(&word) {
                let meant = nearest(word, known.iter().copied());
                if is_secret(word) && !meant.is_some_and(is_secret) {
                    let keyring =
                        "the keyring has it (`lyncsh add`), or `credential` names where it comes from";
                    self.mistake(key.span(), format!("a secret is not written here: {keyring}"));
                    continue;
                }
                let end = meant.map_or_else(
                    || format!("it has {}", known.join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                self.mistake(key.span(), format!("{place} has no key {word}; {end}"));
            }
        }
    }

    pub(super) fn unknown_word(&mut self, key: &str, word: &str, known: &[&str]) {
        let meant = nearest(word, known.iter().copied()).map(|near| format!("did you mean \"{near}\"? "));
        let all = known.join(", ");
        self.mistake(
            self.span(key),
            format!("{key} can't be \"{word}\"; {}one of {all}", meant.unwrap_or_default()),
        );
    }

    pub(super) fn span(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(0..0, Spanned::span)
    }

    /// A key that is not there: shown at `kind`, or at the top.
    pub(super) fn missing(&mut self, message: String) {
        self.mistake(self.span("kind"), message);
    }

    pub(super) fn mistake(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake { span, message: message.into() });
    }
}
