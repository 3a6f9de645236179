//! Where profiles live: one file each, named after the profile.

use std::path::PathBuf;

use super::nearest::nearest;
use super::read::{self, ProfileError, Read};
use super::types::Profile;
use crate::files::text;
use crate::folders::Folders;

/// Why a profile can't be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum StoreError {
    #[error("there is no profile '{name}'")]
    Missing {
        name: String,
        #[help]
        advice: String,
    },
    #[error("'{name}' can't be a profile's name: {reason}")]
    Name { name: String, reason: String },
    #[error("'{name}' is several connections ({}), and this is for one", .connections.join(", "))]
    #[diagnostic(help("name one of them"))]
    Several { name: String, connections: Vec<String> },
    #[error("the profile {path} can't be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistakes(#[from] ProfileError),
}

/// Whether a profile may have this name. `taken` are the words of the command line.
pub fn check_name(name: &str, taken: &[&str]) -> Result<(), StoreError> {
    let wrong = |reason: &str| Err(StoreError::Name { name: name.to_owned(), reason: reason.to_owned() });
    if name.is_empty() {
        return wrong("it is empty");
    }
    if name.starts_with(['-', '.']) || name.chars().any(|one| one.is_control() || "/\\:*?\"<>|".contains(one))
    {
        return wrong("use letters, digits, spaces, '-', '_' and '.', and begin with a letter or digit");
    }
    if name.chars().count() > 64 {
        return wrong("it is longer than 64 characters");
    }
    if taken.contains(&name) {
        return wrong("lyncsh has a command of that name");
    }
    Ok(())
}

/// The profiles' names, sorted, numbers by their value. A folder that is not there holds none.
pub fn names(folders: &Folders) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folders.profiles()) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_profile = path.extension().is_some_and(|end| end == "toml");
            is_profile.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
        })
        .collect();
    names.sort_by_cached_key(|name| order(name));
    names
}

/// What a name is sorted by: `tenant-2` comes before `tenant-10`.
fn order(name: &str) -> (String, String) {
    /// No name has more digits in a row.
    const DIGITS: usize = 64;
    let (mut key, mut digits) = (String::new(), String::new());
    for one in name.to_lowercase().chars().map(Some).chain([None]) {
        match one {
            Some(digit) if digit.is_ascii_digit() => digits.push(digit),
            other => {
                if !digits.is_empty() {
                    key.push_str(&format!("{digits:0>DIGITS$}"));
                    digits.clear();
                }
                key.extend(other);
            }
        }
    }
    (key, name.to_owned())
}

/// Reads a profile that is one connection, by its name.
pub fn load(folders: &Folders, name: &str) -> Result<Profile, StoreError> {
    match read(folders, name)?.2 {
        Read::One(profile) => Ok(*profile),
        Read::Several(list) => {
            let connections = list.names.into_iter().map(toml::Spanned::into_inner).collect();
            Err(StoreError::Several { name: name.to_owned(), connections })
        }
    }
}

/// A profile's path, its text, and what that is.
pub(super) fn read(folders: &Folders, name: &str) -> Result<(PathBuf, String, Read), StoreError> {
    check_name(name, &[])?;
    let path = folders.profile(name);
    let text = match text::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing(folders, name)),
        Err(source) => return Err(StoreError::Unreadable { path, source }),
    };
    let read = read::read(name, &path, &text)?;
    Ok((path, text, read))
}

/// How many profiles an error lists.
const LISTED: usize = 10;

fn missing(folders: &Folders, name: &str) -> StoreError {
    let known = names(folders);
    let add = format!("`lyncsh add {name} --kind KIND --user USER@DOMAIN` makes it");
    let advice = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'? Otherwise {add}"),
        None if known.is_empty() && cfg!(feature = "demo") => format!("{add}; `lyncsh demo` needs none"),
        None if known.is_empty() => add,
        None => {
            let more = known.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let some: Vec<&str> = known.iter().take(LISTED).map(String::as_str).collect();
            format!("the profiles are {}{more}; {add}", some.join(", "))
        }
    };
    StoreError::Missing { name: name.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_people_count() {
        let mut names = ["t-10", "T-2", "t-1", "t", "t-1b", "a9z", "a10", "\u{e4}", "7", "t-007"];
        names.sort_by_cached_key(|name| order(name));
        assert_eq!(names, ["7", "a9z", "a10", "t", "t-1", "t-1b", "T-2", "t-007", "t-10", "\u{e4}"]);
    }
}
