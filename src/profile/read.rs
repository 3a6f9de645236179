//! Parsing of a profile's text. All mistakes are reported with their positions.

mod credential;
mod mistake;
mod reader;
mod secret;
mod service;
mod several;
mod tokens;
mod value;

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use self::reader::Reader;
use super::types::Profile;
pub use mistake::{Mistake, ProfileError};
pub use reader::KEYS;
pub use several::List;

/// A parsed profile.
#[derive(Clone, Debug)]
pub enum Read {
    One(Box<Profile>),
    /// A group profile.
    Several(List),
}

/// Parses a profile with one connection. `path` is only used in errors.
pub fn parse(name: &str, path: &Path, text: &str) -> Result<Profile, ProfileError> {
    match read(name, path, text)? {
        Read::One(profile) => Ok(*profile),
        Read::Several(list) => {
            let span = list.names.first().map_or(0..0, Spanned::span);
            let message = "expected one connection, got a group".to_owned();
            Err(failed(path, text, vec![Mistake { span, message }]))
        }
    }
}

/// Parses a profile's text. `path` is only used in errors.
pub fn read(name: &str, path: &Path, text: &str) -> Result<Read, ProfileError> {
    let table = DeTable::parse(text).map_err(|error| {
        let mistake = Mistake { span: error.span().unwrap_or(0..0), message: error.message().to_owned() };
        failed(path, text, vec![mistake])
    })?;
    let mut reader = Reader { table: table.get_ref(), mistakes: Vec::new() };
    let read = if reader.table.contains_key("connections") {
        Some(Read::Several(reader.several()))
    } else {
        reader.profile(name, path).map(|profile| Read::One(Box::new(profile)))
    };
    match read {
        Some(read) if reader.mistakes.is_empty() => Ok(read),
        _ => Err(failed(path, text, reader.mistakes)),
    }
}

/// Returns the tags in a profile's text, which may have mistakes elsewhere; `None` if they cannot be read.
pub fn tags(text: &str) -> Option<Vec<String>> {
    let table = DeTable::parse(text).ok()?;
    let Some(tags) = table.get_ref().get("tags") else { return Some(Vec::new()) };
    let words = tags.get_ref().as_array()?.iter().filter_map(|tag| tag.get_ref().as_str().map(str::to_owned));
    Some(words.collect())
}

fn failed(path: &Path, text: &str, mut mistakes: Vec<Mistake>) -> ProfileError {
    mistakes.sort_by_key(|mistake| mistake.span.start);
    let source_text = secret::mask_secrets(text, &mistakes);
    ProfileError { path: path.display().to_string(), source_text, mistakes }
}
