//! Profile files: one for each profile, named after the profile.

use std::path::PathBuf;

use super::name::wrong_name;
use super::places::{self, ConfigError};
use super::read::{self, Parsed, ProfileError};
use super::types::Profile;
use crate::files::text;
use crate::folders::Folders;
use crate::nearest::nearest;

/// Error of loading a profile.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum StoreError {
    /// Neither the user's own folder nor a team's folder has the file.
    #[error("there is no profile '{name}'")]
    Missing {
        name: String,
        /// A profile with a similar name.
        near: Option<String>,
        #[help]
        advice: String,
    },
    /// The name is empty or too long, has characters that are invalid in file names, or is a command's.
    #[error("invalid profile name '{name}': {reason}")]
    Name { name: String, reason: String },
    /// The profile has `connections`, and the command is about one connection.
    #[error("'{name}' groups several connections ({}); this command takes one", .connections.join(", "))]
    #[diagnostic(help("pass the name of one connection"))]
    Several { name: String, connections: Vec<String> },
    /// The file exists, but this user may not read it, or it is not text.
    #[error("cannot read the profile {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The file is not a valid profile: see `ProfileError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistakes(#[from] ProfileError),
    /// The folders of teams are not known: see `ConfigError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
}

/// Checks the name of a profile. `taken` are the names of commands.
pub fn check_name(name: &str, taken: &[&str]) -> Result<(), StoreError> {
    let wrong = |reason: &str| Err(StoreError::Name { name: name.to_owned(), reason: reason.to_owned() });
    if let Some(reason) = wrong_name(name) {
        return wrong(reason);
    }
    if taken.contains(&name) {
        return wrong("lyncsh has a command of that name");
    }
    Ok(())
}

/// Returns the profiles' names, sorted, with numbers by value. Folders that cannot be read have none.
pub fn names(folders: &Folders) -> Vec<String> {
    let teams = places::team_folders(folders).unwrap_or_default();
    let of_teams = teams.iter().flat_map(|folder| places::names_in(folder).unwrap_or_default());
    let mut names: Vec<String> = own_names(folders).into_iter().chain(of_teams).collect();
    names.sort_by_cached_key(|name| order(name));
    names.dedup();
    names
}

/// Returns the names of the user's own profiles, sorted like [`names`].
pub fn own_names(folders: &Folders) -> Vec<String> {
    let mut names = places::names_in(&folders.profiles()).unwrap_or_default();
    names.sort_by_cached_key(|name| order(name));
    names
}

/// Returns the file of a profile, which may be in a team's folder.
pub fn path(folders: &Folders, name: &str) -> PathBuf {
    places::find(folders, name).ok().flatten().unwrap_or_else(|| folders.profile(name))
}

/// Returns the sort key of a name: `tenant-2` comes before `tenant-10`.
fn order(name: &str) -> (String, String) {
    /// Maximum number of digits: the maximum length of a name.
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

/// Loads a profile with one connection.
pub fn load(folders: &Folders, name: &str) -> Result<Profile, StoreError> {
    match read(folders, name)?.2 {
        Parsed::Single(profile) => Ok(*profile),
        Parsed::Group(list) => {
            let connections = list.names.into_iter().map(toml::Spanned::into_inner).collect();
            Err(StoreError::Several { name: name.to_owned(), connections })
        }
    }
}

/// Returns a profile's path, its text and the parsed profile.
pub(super) fn read(folders: &Folders, name: &str) -> Result<(PathBuf, String, Parsed), StoreError> {
    check_name(name, &[])?;
    let Some(path) = places::find(folders, name)? else { return Err(missing(folders, name)) };
    let text = match text::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing(folders, name)),
        Err(source) => return Err(StoreError::Unreadable { path, source }),
    };
    match read::read(name, &path, &text) {
        Ok(read) => Ok((path, text, read)),
        Err(error) => Err(mistakes(folders, name, error)),
    }
}

/// Creates the error of a profile with mistakes.
pub(super) fn mistakes(folders: &Folders, name: &str, error: ProfileError) -> StoreError {
    let is_of_team = places::of_team(folders, name).is_some();
    ProfileError { is_of_team, ..error }.into()
}

/// Returns the entries of the keyring that a profile uses. The profile may have mistakes; `None` if the sources of its
/// secrets cannot be read.
pub fn entries(folders: &Folders, name: &str) -> Option<Vec<String>> {
    let path = path(folders, name);
    match text::read(&path) {
        Ok(text) => read::entries(name, &path, &text),
        Err(error) => (error.kind() == std::io::ErrorKind::NotFound).then(Vec::new),
    }
}

/// Maximum number of profiles that an error lists.
const LISTED: usize = 10;

fn missing(folders: &Folders, name: &str) -> StoreError {
    let known = names(folders);
    let add = format!("create it with `lyncsh add {name} --kind KIND --user USER@DOMAIN`");
    let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    let advice = match &near {
        Some(near) => format!("did you mean '{near}'? Otherwise, {add}"),
        None if known.is_empty() && cfg!(feature = "demo") => {
            format!("{add}; `lyncsh demo` needs no profile")
        }
        None if known.is_empty() => add,
        None => {
            let more = known.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let some: Vec<&str> = known.iter().take(LISTED).map(String::as_str).collect();
            format!("existing profiles: {}{more}; {add}", some.join(", "))
        }
    };
    let unread = unreadable_folders(folders).into_iter().map(|line| format!("\n{line}"));
    StoreError::Missing { name: name.to_owned(), near, advice: advice + &unread.collect::<String>() }
}

/// Returns a message for each folder of a team that cannot be read.
pub fn unreadable_folders(folders: &Folders) -> Vec<String> {
    let teams = places::team_folders(folders).unwrap_or_default();
    let message = |folder: PathBuf| match places::names_in(&folder) {
        Ok(_) => None,
        Err(error) => Some(format!("cannot read the profiles in {}: {error}", folder.display())),
    };
    teams.into_iter().filter_map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_numerically() {
        let mut names = ["t-10", "T-2", "t-1", "t", "t-1b", "a9z", "a10", "\u{e4}", "7", "t-007"];
        names.sort_by_cached_key(|name| order(name));
        assert_eq!(names, ["7", "a9z", "a10", "t", "t-1", "t-1b", "T-2", "t-007", "t-10", "\u{e4}"]);
    }
}
