//! Folders of profiles: the user's own, and those of teams, which lyncsh only reads.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use crate::files::text;
use crate::folders::{Folders, beside};
use crate::nearest::nearest;

/// Key of the configuration file.
const PROFILES: &str = "profiles";

/// Error of the configuration file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ConfigError {
    /// `config.toml` exists, but this user may not read it, or it is not text.
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// `config.toml` is not TOML, or has a key other than `profiles`, or a value that is not a list of folders.
    #[error("{path} has a mistake in line {line}: {message}")]
    #[diagnostic(help("edit {}, for example profiles = [\"/srv/lyncsh/profiles\"]", .path.display()))]
    Mistake { path: PathBuf, line: usize, message: String },
}

/// Returns the folders of teams, from `config.toml`. A relative path starts at the configuration folder; `~`
/// is the home directory.
pub fn team_folders(folders: &Folders) -> Result<Vec<PathBuf>, ConfigError> {
    let path = folders.config.join("config.toml");
    let text = match text::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    let mistake = |at: usize, message: String| {
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        ConfigError::Mistake { path: path.clone(), line, message }
    };
    let table = DeTable::parse(&text)
        .map_err(|error| mistake(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let table = table.get_ref();
    if let Some(key) = table.keys().find(|key| key.get_ref() != PROFILES) {
        let word = key.get_ref();
        let end = if nearest(word, [PROFILES]).is_some() { "did you mean" } else { "expected" };
        return Err(mistake(key.span().start, format!("unknown key {word}; {end} {PROFILES}")));
    }
    let Some(value) = table.get(PROFILES) else { return Ok(Vec::new()) };
    let expected = |at: usize| mistake(at, "expected a list of folders in quotes".to_owned());
    let array = value.get_ref().as_array().ok_or_else(|| expected(value.span().start))?;
    let folder = |one: &Spanned<toml::de::DeValue<'_>>| match one.get_ref().as_str() {
        Some(folder) if !folder.trim().is_empty() => Ok(beside(&folders.config, folder)),
        _ => Err(expected(one.span().start)),
    };
    array.iter().map(folder).collect()
}

/// Returns the file of a profile: the user's own, or the first in the folders of teams.
pub fn find(folders: &Folders, name: &str) -> Result<Option<PathBuf>, ConfigError> {
    let own = folders.profile(name);
    // A broken link is reported when it is read.
    if std::fs::symlink_metadata(&own).is_ok() {
        return Ok(Some(own));
    }
    let files = team_folders(folders)?.into_iter().map(|folder| folder.join(format!("{name}.toml")));
    Ok(files.into_iter().find(|file| file.is_file()))
}

/// Returns the file of a profile of a team; `None` if the profile is the user's own, or does not exist.
pub fn of_team(folders: &Folders, name: &str) -> Option<PathBuf> {
    find(folders, name).ok().flatten().filter(|path| *path != folders.profile(name))
}

/// Returns the files of teams that a profile of the same name hides.
pub fn hidden_files(folders: &Folders, name: &str) -> Vec<PathBuf> {
    let teams = team_folders(folders).unwrap_or_default();
    let files = teams.into_iter().map(|folder| folder.join(format!("{name}.toml")));
    let used = find(folders, name).ok().flatten();
    files.filter(|file| file.is_file() && Some(file) != used.as_ref()).collect()
}

/// Returns the names of the profiles in a folder, in any order.
pub fn names_in(folder: &Path) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_dir(folder)?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_profile = path.extension().is_some_and(|end| end == "toml");
        is_profile.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_the_configuration_file_have_a_line() {
        let (temp, folders) = Folders::temporary();
        let read = |text: &str| {
            std::fs::write(folders.config.join("config.toml"), text).unwrap();
            team_folders(&folders)
        };
        assert_eq!(read("").unwrap(), Vec::<PathBuf>::new());
        let shared = folders.config.join("shared");
        // The temporary folder is an absolute path on every system.
        let absolute = temp.path().join("p");
        let list = format!("profiles = [\"shared\", '{}']", absolute.display());
        assert_eq!(read(&list).unwrap(), [shared, absolute]);
        for (text, message) in [
            ("\nprofile = []", "in line 2: unknown key profile; did you mean profiles"),
            ("profiles = \"x\"", "in line 1: expected a list of folders in quotes"),
            ("profiles = [\n  \"x\",\n  1,\n]", "in line 3: expected a list of folders in quotes"),
            ("profiles = [", "in line 1"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
