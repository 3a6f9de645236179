//! Parses the value of a key.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;
use url::Url;

use super::mistake::Mistake;
use super::reader::Reader;
use super::secret::is_secret;
use super::source::start_of;
use crate::nearest::nearest;
use crate::profile::keys::{self, Value};
use crate::profile::kind::Kind;

/// Maximum duration in a profile.
const MAX_DURATION: Duration = Duration::from_hours(168);

impl Reader<'_> {
    /// Parses a duration in the profile or in one of its tables.
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
        debug_assert!(matches!(keys::value(key), Some(Value::Flag)), "{key}");
        let value = self.table.get(key)?;
        let read = value.get_ref().as_bool();
        if read.is_none() {
            self.mistake(value.span(), "expected true or false");
        }
        read
    }

    /// Parses a whole number of the declared range.
    pub(super) fn number(&mut self, key: &str) -> Option<u32> {
        let value = self.table.get(key)?;
        let Some(Value::Number(min, max)) = keys::value(key) else { return None };
        // The text of the number has neither the prefix of its radix nor underscores.
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.mistake(value.span(), format!("expected a whole number from {min} to {max}"));
        }
        number
    }

    /// Parses a list of texts. Returns the texts with their positions.
    pub(super) fn list(&mut self, key: &str) -> Option<Vec<(String, Range<usize>)>> {
        let value = self.table.get(key)?;
        let Some(Value::List(list)) = keys::value(key) else { return None };
        let Some(array) = value.get_ref().as_array() else {
            self.mistake(value.span(), format!("expected a list, for example {key} = {}", list.example));
            return None;
        };
        let mut texts = Vec::new();
        for one in array {
            match one.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), one.span())),
                None => self.mistake(one.span(), "expected text in quotes"),
            }
        }
        Some(texts)
    }

    /// Parses one of the words declared for the key. `all` are the values, `name` returns the word of a value.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        kind: Option<Kind>,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let word = self.text(key)?;
        let known = keys::words(key, kind);
        debug_assert!(known.iter().copied().eq(all.iter().map(|one| name(*one))), "{key}: {known:?}");
        let found = all.iter().copied().find(|one| name(*one) == word);
        if found.is_none() {
            self.unknown_word(key, &word, &known);
        }
        found
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        debug_assert!(
            matches!(keys::value(key), Some(Value::Text | Value::Uri | Value::Path | Value::Word(_))),
            "{key}"
        );
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
                    format!("expected text in quotes, got {}", value.get_ref().type_str()),
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

    /// Returns the folder of the file with the key.
    pub(super) fn folder(&self, key: &str) -> PathBuf {
        let at = self.span(key).start;
        let sources = 0..self.sources.len();
        let file = sources.rev().find(|file| start_of(self.sources, *file) <= at).unwrap_or(0);
        let path = self.sources.get(file).map(|source| source.path.clone()).unwrap_or_default();
        path.parent().map(Path::to_owned).unwrap_or(path)
    }

    /// Returns whether a key is set, even to an invalid value; parsing the key reports the mistake.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn span(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(0..0, Spanned::span)
    }

    /// Reports a missing key: at `kind`, or at the start of the profile if an included file has `kind`.
    pub(super) fn missing(&mut self, message: String) {
        let kind = self.span("kind");
        let is_own = self.sources.first().is_none_or(|own| kind.start < own.text.len());
        self.mistake(if is_own { kind } else { 0..0 }, message);
    }

    pub(super) fn mistake(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake { span, message: message.into() });
    }
}
