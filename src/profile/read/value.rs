//! Parses the value of a key.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;
use url::Url;

use super::mistake::Mistake;
use super::reader::Reader;
use super::secret::is_secret;
use crate::profile::nearest::nearest;

/// Maximum duration in a profile.
const MAX_DURATION: Duration = Duration::from_hours(168);

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
        if read.is_some_and(|duration| duration > MAX_DURATION) {
            self.mistake(value.span(), "expected at most a week (\"7days\")");
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
                    format!("expected text in quotes, got a {}", value.get_ref().type_str()),
                );
                None
            }
        }
    }

    pub(super) fn url(&mut self, key: &str) -> Option<Url> {
        let text = self.text(key)?;
        match Url::parse(&text) {
            Ok(url) => {
                if !url.username().is_empty() || url.password().is_some() {
                    self.mistake(
                        self.span(key),
                        "a URI must not contain a user name or password: use user and credential",
                    );
                }
                Some(url)
            }
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
                    let source = "store it in the keyring with `lyncsh add`, or set credential";
                    self.mistake(key.span(), format!("a profile must not contain a secret: {source}"));
                    continue;
                }
                let end = meant.map_or_else(
                    || format!("expected one of {}", known.join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                self.mistake(key.span(), format!("unknown key {word} in {place}; {end}"));
            }
        }
    }

    pub(super) fn unknown_word(&mut self, key: &str, word: &str, known: &[&str]) {
        let meant = nearest(word, known.iter().copied()).map(|near| format!("did you mean \"{near}\"? "));
        let all = known.join(", ");
        self.mistake(
            self.span(key),
            format!("invalid {key} \"{word}\"; {}expected one of {all}", meant.unwrap_or_default()),
        );
    }

    pub(super) fn span(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(0..0, Spanned::span)
    }

    /// Reports a missing key, at `kind` or at the start of the file.
    pub(super) fn missing(&mut self, message: String) {
        self.mistake(self.span("kind"), message);
    }

    pub(super) fn mistake(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake { span, message: message.into() });
    }
}
