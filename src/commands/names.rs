//! Profiles with the name of a command: written by hand, or before lyncsh had the command.

use std::path::{Path, PathBuf};

use crate::cli;
use crate::folders::Folders;
use crate::profile::{self, CredentialSource};

const OPTION: &str = "--config-dir";

/// Warns if the called command hides a profile of the same name.
pub fn report(folders: &Folders) {
    if let Some(line) = called().and_then(|word| hidden(folders, &word)) {
        crate::errln!("{line}");
    }
}

/// Calls [`report`] for a command line that cannot be parsed and may be meant for the profile.
pub fn report_before_parsing() {
    let words: Vec<String> = words().collect();
    let config = config_dir_in(&words).or_else(cli::config_dir);
    if let Ok(folders) = Folders::find(config.as_deref()) {
        report(&folders);
    }
}

/// Returns the configuration directory in the words of a command line.
pub fn config_dir_in(words: &[String]) -> Option<PathBuf> {
    let joined = words.iter().find_map(|word| word.strip_prefix(OPTION)?.strip_prefix('='));
    let named = joined.or_else(|| {
        let at = words.iter().position(|word| word == OPTION)?;
        words.get(at + 1).map(String::as_str)
    });
    named.map(PathBuf::from)
}

/// Returns the words of the command line. Words that are not Unicode do not match a command.
fn words() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

/// Returns the first word that is not an option or an option's value.
fn called() -> Option<String> {
    let mut words = words();
    while let Some(word) = words.next() {
        match word.as_str() {
            OPTION => drop(words.next()),
            _ if word.starts_with('-') => {}
            _ => return Some(word),
        }
    }
    None
}

/// Returns a warning with the rename command if a command hides the profile.
pub fn hidden(folders: &Folders, name: &str) -> Option<String> {
    let path = folders.profile(name);
    if !cli::taken().iter().any(|taken| taken == name) || !path.is_file() {
        return None;
    }
    let mut other = format!("{name}-profile");
    while folders.profile(&other).exists() {
        other.push('1');
    }
    let kept = profile::load(folders, name).is_ok_and(|one| one.credential == CredentialSource::Keyring);
    let login = if kept { format!("\n  lyncsh login {other}") } else { String::new() };
    let rename = if cfg!(windows) { "move" } else { "mv" };
    Some(format!(
        "Cannot open the profile '{name}': lyncsh has a command of that name. Rename its file:\n  \
         {rename} {} {}{login}",
        quoted(&path),
        quoted(&folders.profile(&other))
    ))
}

/// Returns the profiles whose secret, or password for the proxy, is in this entry of the keyring.
pub fn sharing(folders: &Folders, entry: &str) -> Vec<String> {
    let uses = |name: &String| {
        profile::load(folders, name).is_ok_and(|profile| {
            profile.keyring_entry() == Some(entry) || profile.proxy_entry().as_deref() == Some(entry)
        })
    };
    profile::names(folders).into_iter().filter(uses).collect()
}

fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |one: char| one.is_alphanumeric() || "/\\.:-_".contains(one);
    match (path.chars().all(plain), cfg!(windows)) {
        (true, _) => path,
        (false, true) => format!("\"{path}\""),
        (false, false) => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_with_a_commands_name_is_reported_with_the_rename_command() {
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        std::fs::create_dir_all(folders.profiles()).unwrap();
        assert_eq!(hidden(&folders, "login"), None);
        for name in ["login", "status", "help", "work"] {
            std::fs::write(folders.profile(name), "kind = 'wsman'\nuri = 'https://a.b/c'\n").unwrap();
        }
        assert_eq!(hidden(&folders, "work"), None);
        let command = if cfg!(windows) { "move " } else { "mv " };
        for name in ["login", "status", "help"] {
            let line = hidden(&folders, name).unwrap();
            assert!(line.contains(&format!("{name}-profile.toml")) && line.contains(command), "{line}");
        }
        std::fs::write(folders.profile("login-profile"), "").unwrap();
        assert!(hidden(&folders, "login").unwrap().contains("login-profile1.toml"));
    }
}
