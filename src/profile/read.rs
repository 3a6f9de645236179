//! Parsing of a profile's text. All mistakes are reported with their positions.

mod credential;
mod failure;
mod group;
mod include;
mod mistake;
mod reader;
mod secret;
mod service;
mod source;
mod tokens;
mod value;

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::reader::Reader;
use super::types::{Profile, own_proxy_entry};
pub use group::GroupMembers;
pub use include::{ReadText, sources};
pub use mistake::{Mistake, ProfileError};
pub use source::Source;

/// A parsed profile.
#[derive(Clone, Debug)]
pub enum Parsed {
    Single(Box<Profile>),
    /// A group profile.
    Group(GroupMembers),
}

/// Parses a profile with one connection. `text` is the content of `path`; only included files are read from disk.
pub fn parse(name: &str, path: &Path, text: &str) -> Result<Profile, ProfileError> {
    parse_sources(name, &sources(path, text)?)
}

/// Parses a profile's text. `text` is the content of `path`; only included files are read from disk.
pub fn read(name: &str, path: &Path, text: &str) -> Result<Parsed, ProfileError> {
    read_sources(name, &sources(path, text)?)
}

/// Parses a profile's text like [`read`]; `read_text` returns the texts of the included files.
pub fn read_with(
    name: &str,
    path: &Path,
    text: &str,
    read_text: &ReadText<'_>,
) -> Result<Parsed, ProfileError> {
    read_sources(name, &include::sources_with(path, text, read_text)?)
}

/// Parses the files of a profile with one connection.
pub fn parse_sources(name: &str, sources: &[Source]) -> Result<Profile, ProfileError> {
    match read_sources(name, sources)? {
        Parsed::Single(profile) => Ok(*profile),
        Parsed::Group(list) => {
            let span = list.names.first().map_or(0..0, Spanned::span);
            let message = "expected one connection, got a group".to_owned();
            Err(ProfileError::of(sources, vec![Mistake { span, message }]))
        }
    }
}

fn read_sources(name: &str, sources: &[Source]) -> Result<Parsed, ProfileError> {
    let (table, mistakes) = include::merged(sources)?;
    let mut reader = Reader { table: &table, sources, mistakes };
    let read = if table.contains_key("connections") {
        Some(Parsed::Group(reader.group()))
    } else {
        reader.profile(name).map(|profile| Parsed::Single(Box::new(profile)))
    };
    match read {
        Some(read) if reader.mistakes.is_empty() => Ok(read),
        _ => Err(ProfileError::of(sources, reader.mistakes)),
    }
}

/// Returns the tags in a profile's text, which may have mistakes elsewhere; `None` if they cannot be read.
pub fn tags(path: &Path, text: &str) -> Option<Vec<String>> {
    with_keys(path, text, |keys| {
        let Some(tags) = keys.get("tags") else { return Some(Vec::new()) };
        let tags = tags.get_ref().as_array()?.iter();
        Some(tags.filter_map(|tag| tag.get_ref().as_str().map(str::to_owned)).collect())
    })
}

/// Returns the entries of the keyring that a profile uses. Its text may have mistakes elsewhere; `None` if the sources
/// of its secrets cannot be read.
pub fn entries(name: &str, path: &Path, text: &str) -> Option<Vec<String>> {
    with_keys(path, text, |keys| {
        if keys.contains_key("connections") {
            return Some(Vec::new());
        }
        let entry = |key: &str, own: String| match keys.get(key).map(Spanned::get_ref) {
            Some(DeValue::String(word)) if word == "prompt" || word == "system" => None,
            Some(DeValue::Table(source)) => {
                source.get("keyring").and_then(|entry| entry.get_ref().as_str()).map(str::to_owned)
            }
            _ => Some(own),
        };
        let main = entry("credential", name.to_owned());
        Some(main.into_iter().chain(entry("proxy_credential", own_proxy_entry(name))).collect())
    })
}

/// Reads the merged keys of a profile's files; `None` if a file of the profile cannot be read.
fn with_keys<T>(path: &Path, text: &str, get: impl FnOnce(&DeTable<'_>) -> Option<T>) -> Option<T> {
    let sources = sources(path, text).ok()?;
    let (keys, _) = include::merged(&sources).ok()?;
    get(&keys)
}
