//! From a profile's text to a [`Profile`], or to every mistake in it with its place.

mod mistake;
mod reader;
mod secret;
mod service;
mod several;
mod value;

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use self::reader::Reader;
use super::types::Profile;
pub use mistake::{Mistake, ProfileError};
pub use reader::KEYS;
pub use several::List;

/// What a profile's text is.
#[derive(Clone, Debug)]
pub enum Read {
    One(Box<Profile>),
    /// The profiles of several connections.
    Several(List),
}

/// Reads the text of a profile that is one connection. `path` is only named in errors.
pub fn parse(name: &str, path: &Path, text: &str) -> Result<Profile, ProfileError> {
    match read(name, path, text)? {
        Read::One(profile) => Ok(*profile),
        Read::Several(list) => {
            let span = list.names.first().map_or(0..0, Spanned::span);
            let message = "several connections, where one is wanted".to_owned();
            Err(failed(path, text, vec![Mistake { span, message }]))
        }
    }
}

/// Reads a profile's text. `path` is only named in errors.
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

fn failed(path: &Path, text: &str, mut mistakes: Vec<Mistake>) -> ProfileError {
    mistakes.sort_by_key(|mistake| mistake.span.start);
    let source_text = secret::veiled(text, &mistakes);
    ProfileError { path: path.display().to_string(), source_text, mistakes }
}
