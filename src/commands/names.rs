//! Profiles with the name of a command: written by hand, or before lyncsh had the command.

use std::path::PathBuf;

use super::usage::usage;
use crate::cli;
use crate::folders::Folders;
use crate::profile;

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

/// A profile that a command hides.
#[derive(Debug, PartialEq, Eq)]
pub struct Hidden {
    pub problem: String,
    /// The command that gives the profile another name.
    pub advice: String,
}

impl std::fmt::Display for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. {}.", self.problem, self.advice)
    }
}

/// Returns the problem and the rename command if a command hides the profile.
pub fn hidden(folders: &Folders, name: &str) -> Option<Hidden> {
    if !cli::taken().iter().any(|taken| taken == name) || !profile::path(folders, name).is_file() {
        return None;
    }
    let mut other = format!("{name}-profile");
    while profile::path(folders, &other).exists() {
        other.push('1');
    }
    let (what, command) =
        if profile::of_team(folders, name).is_some() { ("Copy", "copy") } else { ("Rename", "rename") };
    Some(Hidden {
        problem: format!("Cannot open the profile '{name}': lyncsh has a command of that name"),
        advice: format!("{what} it with `lyncsh {command} {name} {other}`"),
    })
}

/// Checks that a profile to change is not a team's.
pub fn check_own(folders: &Folders, name: &str, what: &str) -> miette::Result<()> {
    match profile::of_team(folders, name) {
        None => Ok(()),
        Some(path) => Err(usage!(
            help = format!("copy it with `lyncsh copy {name} NEW`; keys of the copy override the team's"),
            "cannot {what} '{name}': it is a team's profile, {}",
            path.display()
        )),
    }
}

/// Checks the name of a profile to create: valid, not the name of a command, and not in use.
pub fn check_new(folders: &Folders, name: &str) -> miette::Result<()> {
    let taken = cli::taken();
    profile::check_name(name, &taken.iter().map(String::as_str).collect::<Vec<_>>())?;
    let path = profile::path(folders, name);
    if std::fs::symlink_metadata(&path).is_ok() {
        return Err(usage!(
            help = "choose another name",
            "profile '{name}' already exists: {}",
            path.display()
        ));
    }
    Ok(())
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

/// Maximum number of names in a message.
const LISTED: usize = 10;

/// Returns names for a message.
pub fn listed(names: &[String]) -> String {
    let some = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(LISTED);
    if more > 0 { format!("{some} and {more} more") } else { some }
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
        for name in ["login", "status", "doctor", "help", "work"] {
            std::fs::write(folders.profile(name), "kind = 'wsman'\nuri = 'https://a.b/c'\n").unwrap();
        }
        assert_eq!(hidden(&folders, "work"), None);
        for name in ["login", "status", "doctor", "help", "rename", "copy"] {
            std::fs::write(folders.profile(name), "").unwrap();
            let line = hidden(&folders, name).unwrap().to_string();
            assert!(line.contains(&format!("`lyncsh rename {name} {name}-profile`")), "{line}");
        }
        std::fs::write(folders.profile("login-profile"), "").unwrap();
        assert!(hidden(&folders, "login").unwrap().advice.contains("login-profile1`"));
    }
}
