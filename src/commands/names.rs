//! Names of profiles: their conflicts with commands and with keyring entries.
//!
//! A profile can have the name of a command if it was written by hand, or before lyncsh had the command.

use std::path::{Path, PathBuf};

use super::usage::usage;
use crate::cli;
use crate::credential;
use crate::credential::oauth::TokenError;
use crate::folders::{Folders, expanded};
use crate::profile::{self, CredentialSource, Profile};

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
    named.map(|folder| expanded(Path::new(folder)))
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
    if !cli::taken().contains(&name) || !profile::path(folders, name).is_file() {
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

/// Checks the name of a profile to create: valid, not the name of a command, and not in use, also not as the name of a
/// keyring entry.
pub fn check_new(folders: &Folders, name: &str) -> miette::Result<()> {
    profile::check_name(name, cli::taken())?;
    let path = profile::path(folders, name);
    if std::fs::symlink_metadata(&path).is_ok() {
        return Err(usage!(
            help = "choose another name",
            "profile '{name}' already exists: {}",
            path.display()
        ));
    }
    check_entry(folders, name)
}

/// Checks that no other profile uses the keyring entry with the name of a profile.
pub fn check_entry(folders: &Folders, name: &str) -> miette::Result<()> {
    let others: Vec<String> = sharing(folders, name).into_iter().filter(|other| other != name).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(usage!(
        help = "choose another name",
        "cannot use the name '{name}': the keyring entry '{name}' has the password of {}",
        listed(&others)
    ))
}

/// Returns the profiles whose secret or proxy password is in this entry of the keyring, including profiles with
/// mistakes.
pub fn sharing(folders: &Folders, entry: &str) -> Vec<String> {
    users(folders, |entries| entries.is_some_and(|entries| entries.iter().any(|one| one == entry)))
}

/// Returns the profiles that prevent the deletion of an entry of the keyring: those of [`sharing`], and those whose
/// sources of secrets cannot be read.
pub fn may_share(folders: &Folders, entry: &str) -> Vec<String> {
    users(folders, |entries| entries.is_none_or(|entries| entries.iter().any(|one| one == entry)))
}

fn users(folders: &Folders, uses: impl Fn(Option<Vec<String>>) -> bool) -> Vec<String> {
    profile::names(folders).into_iter().filter(|name| uses(profile::entries(folders, name))).collect()
}

/// A keyring entry that belongs to one profile.
pub struct OwnEntry {
    /// End of the entry's name, after the name of the profile.
    suffix: &'static str,
    /// Option of `lyncsh login` that stores the secret.
    pub option: &'static str,
}

impl OwnEntry {
    /// Returns the name of the entry.
    pub fn of(&self, profile: &str) -> String {
        format!("{profile}{}", self.suffix)
    }

    /// Copies the password of a profile to a new profile. The secrets of an earlier profile of that name are removed.
    pub async fn copy(&self, folders: &Folders, old: &str, new: &str) -> Result<(), TokenError> {
        let to = self.of(new);
        credential::delete_all(folders, &to).await?;
        credential::copy(&self.of(old), &to).await?;
        Ok(())
    }

    /// Copies the password and the sign-in of a profile to its new name, as [`Self::copy`] does. Returns whether one of
    /// them was stored.
    pub async fn copy_all(&self, folders: &Folders, old: &str, new: &str) -> Result<bool, TokenError> {
        let to = self.of(new);
        credential::delete_all(folders, &to).await?;
        credential::copy_all(folders, &self.of(old), &to).await
    }
}

/// Returns the keyring entries that belong to a profile. For a profile with mistakes, returns all possible entries.
pub fn own_entries(profile: Option<&Profile>) -> Vec<OwnEntry> {
    let main = profile.is_none_or(|profile| profile.credential == CredentialSource::Keyring);
    let proxy = profile.is_none_or(|profile| {
        profile.proxy_user.is_some() && profile.proxy_credential == CredentialSource::Keyring
    });
    let entries = [
        main.then_some(OwnEntry { suffix: "", option: "" }),
        proxy.then_some(OwnEntry { suffix: "/proxy", option: " --proxy" }),
    ];
    entries.into_iter().flatten().collect()
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
    fn profiles_with_mistakes_also_use_entries_of_the_keyring() {
        let (_temp, folders) = Folders::temporary();
        std::fs::create_dir_all(folders.profiles()).unwrap();
        let lines = "kind = 'wsman'\nuri = 'https://a.b/c'\nuser = 'u'\n";
        for (name, text) in [
            ("own", lines.to_owned()),
            ("valid", format!("{lines}credential = {{ keyring = 'partner' }}\n")),
            ("mistaken", format!("{lines}credential = {{ keyring = 'partner' }}\nusr = 1\n")),
            (
                "proxied",
                format!("{lines}credential = 'prompt'\nproxy_credential = {{ keyring = 'proxies' }}\n"),
            ),
            ("group", "connections = ['own', 'valid']\n".to_owned()),
        ] {
            std::fs::write(folders.profile(name), text).unwrap();
        }
        assert_eq!(sharing(&folders, "partner"), ["mistaken", "valid"]);
        assert_eq!(sharing(&folders, "proxies"), ["proxied"]);
        assert_eq!(may_share(&folders, "own"), ["own"]);
        assert_eq!(may_share(&folders, "group"), Vec::<String>::new());
        // A file that is not TOML, and one whose included file is missing.
        std::fs::write(folders.profile("torn"), "credential = {\n").unwrap();
        std::fs::write(folders.profile("far"), "include = 'gone.toml'\n").unwrap();
        assert_eq!(sharing(&folders, "partner"), ["mistaken", "valid"]);
        assert_eq!(may_share(&folders, "partner"), ["far", "mistaken", "torn", "valid"]);
        let error = check_new(&folders, "partner").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot use the name 'partner': the keyring entry 'partner' has the password of mistaken, valid"
        );
        assert!(check_new(&folders, "new").is_ok() && check_entry(&folders, "own").is_ok());
    }

    #[test]
    fn a_profile_with_a_commands_name_is_reported_with_the_rename_command() {
        let (_temp, folders) = Folders::temporary();
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
