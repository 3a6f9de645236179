//! Reads the profiles to check, also those with mistakes.

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::Finding;
use crate::commands::names;
use crate::files::text;
use crate::folders::Folders;
use crate::profile::{self, Mistake, Parsed, Profile, ProfileError, StoreError};

const CHECK: &str = "profile";
/// Maximum number of times that lines with mistakes are left out: a mistake may hide others.
const ATTEMPTS: usize = 3;

/// A connection to check.
pub struct CheckedConnection {
    pub name: String,
    pub findings: Vec<Finding>,
    /// Without the lines that have mistakes; `None` if the rest is not a profile.
    pub profile: Option<Profile>,
    /// Lines were left out of the profile: it may name another endpoint or method than the user intends.
    pub has_mistakes: bool,
}

/// The profiles to check.
pub struct CheckedProfiles {
    /// Findings about the group; `None` for a single connection.
    pub group: Option<Vec<Finding>>,
    pub connections: Vec<CheckedConnection>,
    /// `shell` of the group or the connection.
    pub shell: Option<String>,
}

/// Reads a profile or a group of profiles.
///
/// # Errors
/// There is no profile with this name.
pub fn read(folders: &Folders, name: &str) -> Result<CheckedProfiles, StoreError> {
    let listed = match profile::load(folders, name) {
        Err(StoreError::Several { connections, .. }) => connections,
        Err(error @ (StoreError::Missing { .. } | StoreError::Name { .. })) => return Err(error),
        loaded => {
            let connection = connection(folders, name, loaded);
            let shell = connection.profile.as_ref().and_then(|profile| profile.shell.clone());
            return Ok(CheckedProfiles { group: None, connections: vec![connection], shell });
        }
    };
    let mut group: Vec<Finding> = hidden(folders, name).into_iter().collect();
    let (mut shell, mut is_reported) = (None, true);
    match profile::connections(folders, name) {
        Ok(connections) => {
            group.push(Finding::ok(CHECK, format!("{}: {}", connections.path.display(), listed.join(", "))));
            shell = connections.shell;
        }
        Err(StoreError::Mistakes(error)) if Path::new(&error.path) == profile::path(folders, name) => {
            group.extend(mistakes(folders, name, &error));
        }
        // Mistakes of a connection are reported with the connection, and prevent the check of the group.
        Err(_) => is_reported = false,
    }
    let mut connections = Vec::new();
    for one in &listed {
        match profile::load(folders, one) {
            Err(
                error @ (StoreError::Missing { .. } | StoreError::Name { .. } | StoreError::Several { .. }),
            ) if !is_reported => group.push(Finding::error(CHECK, &error)),
            Err(StoreError::Missing { .. } | StoreError::Name { .. } | StoreError::Several { .. }) => {}
            loaded => connections.push(connection(folders, one, loaded)),
        }
    }
    Ok(CheckedProfiles { group: Some(group), connections, shell })
}

fn connection(folders: &Folders, name: &str, loaded: Result<Profile, StoreError>) -> CheckedConnection {
    let mut findings: Vec<Finding> = hidden(folders, name).into_iter().collect();
    let has_mistakes = loaded.is_err();
    let profile = match loaded {
        Ok(profile) => {
            findings.push(Finding::ok(CHECK, described(&profile)));
            Some(profile)
        }
        Err(StoreError::Mistakes(error)) => {
            findings.extend(mistakes(folders, name, &error));
            rest(folders, name, error)
        }
        Err(error) => {
            findings.push(Finding::error(CHECK, &error));
            None
        }
    };
    CheckedConnection { name: name.to_owned(), findings, profile, has_mistakes }
}

fn described(profile: &Profile) -> String {
    let user = profile.user.as_ref().map(|user| format!(", {user}")).unwrap_or_default();
    let uri = profile.uri.as_ref().map(|uri| format!(", {uri}")).unwrap_or_default();
    format!("{}: {}{user}{uri}", profile.path.display(), profile.kind)
}

/// Returns the finding of a profile that a command hides.
fn hidden(folders: &Folders, name: &str) -> Option<Finding> {
    let names::Hidden { problem, advice } = names::hidden(folders, name)?;
    Some(Finding::failed(CHECK, problem, Some(advice)))
}

/// Returns a finding for each mistake in the files of a profile.
fn mistakes(folders: &Folders, name: &str, error: &ProfileError) -> Vec<Finding> {
    let is_own = profile::of_team(folders, name).is_none();
    let of_file = |file: &ProfileError| {
        let of_mistake = |mistake: &Mistake| {
            let line = file.line(mistake);
            let found = format!("{}: line {line}: {}", file.path, mistake.message);
            let edit = format!("edit {}:{line}", file.path);
            let advice = if is_own && !file.is_included {
                format!("{edit}, or run `lyncsh edit {name}`")
            } else {
                edit
            };
            Finding::failed(CHECK, found, Some(advice))
        };
        file.mistakes.iter().map(of_mistake).collect::<Vec<_>>()
    };
    std::iter::once(error).chain(&error.others).flat_map(of_file).collect()
}

/// Reads a profile without the lines that have mistakes, in its own file and those that it includes.
fn rest(folders: &Folders, name: &str, mut error: ProfileError) -> Option<Profile> {
    let path = profile::path(folders, name);
    let mut left_out: BTreeMap<String, Vec<Mistake>> = BTreeMap::new();
    for _ in 0..ATTEMPTS {
        let others = std::mem::take(&mut error.others);
        for file in std::iter::once(error).chain(others) {
            left_out.entry(file.path).or_default().extend(file.mistakes);
        }
        let read = |path: &Path| {
            let text = text::read(path)?;
            let mistakes = left_out.get(&path.display().to_string());
            Ok(mistakes.map_or_else(|| text.clone(), |mistakes| without(&text, mistakes)))
        };
        let own = read(&path).ok()?;
        match profile::read_with(name, &path, &own, &read) {
            Ok(Parsed::Single(profile)) => return Some(*profile),
            Ok(Parsed::Group(_)) => return None,
            Err(next) => error = next,
        }
    }
    None
}

/// Returns a text with blanks in place of the lines with mistakes.
fn without(text: &str, mistakes: &[Mistake]) -> String {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        lines.push((start, line.to_owned()));
        start += line.len();
    }
    for Mistake { span, .. } in mistakes {
        let end = span.end.max(span.start + 1);
        for (start, line) in &mut lines {
            if *start < end && span.start < *start + line.len() {
                *line = line
                    .chars()
                    .map(|one| if one == '\n' { "\n".to_owned() } else { " ".repeat(one.len_utf8()) })
                    .collect();
            }
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_mistakes_are_left_out() {
        let (_temp, folders) = Folders::temporary();
        std::fs::create_dir_all(folders.profiles()).unwrap();
        let rest = |more: &str| {
            let text = format!("kind = 'wsman'\nuri = 'https://a.b/ö'\nuser = 'a'\n{more}");
            std::fs::write(folders.profile("work"), text).unwrap();
            let subjects = read(&folders, "work").unwrap();
            let found: Vec<String> =
                subjects.connections[0].findings.iter().map(|one| one.found.clone()).collect();
            (found, subjects.connections.into_iter().next().unwrap().profile)
        };
        let (found, profile) = rest("usr = 'ü'\nkeep = 5\nproxy = 'none'\n");
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("work.toml: line 4: ") && found[1].contains("line 5: "), "{found:?}");
        assert_eq!(profile.unwrap().proxy.to_string(), "none");
        let (found, profile) = rest("torn = \n");
        assert!(found[0].contains("line 4") && profile.is_some(), "{found:?}");
        std::fs::write(folders.profile("work"), "usr = 'x'").unwrap();
        assert!(read(&folders, "work").unwrap().connections[0].profile.is_none());
    }

    #[test]
    fn mistakes_of_included_files_are_left_out_of_these_files() {
        let (temp, folders) = Folders::temporary();
        let team = temp.path().join("team");
        std::fs::create_dir_all(&team).unwrap();
        std::fs::write(temp.path().join("config.toml"), "profiles = ['team']").unwrap();
        let put = |name: &str, text: &str| std::fs::write(team.join(name), text).unwrap();
        put("work.toml", "kind = 'wsman'\nuser = 'a'\ninclude = 'base.inc'\nusr = 1\n");
        put(
            "base.inc",
            "tags = ['x']\nkeep = 5\nuri = 'https://a.b/c'\nproxy = 'none'\ninclude = 'torn.inc'\n",
        );
        put("torn.inc", "shell = 'console'\ntorn = \n");
        let read = || read(&folders, "work").unwrap().connections.remove(0);
        // A file that is not TOML hides the mistakes of the others.
        let torn = read();
        assert!(torn.findings[0].found.contains("torn.inc: line 2: "), "{:?}", torn.findings);
        assert_eq!(torn.profile.unwrap().shell.as_deref(), Some("console"));
        put("torn.inc", "shell = 'console'\n");
        let CheckedConnection { findings, profile, has_mistakes, .. } = read();
        let found: Vec<&str> = findings.iter().map(|one| one.found.as_str()).collect();
        assert!(found.len() == 2 && found[0].contains("work.toml: line 4: "), "{found:?}");
        assert!(found[1].contains("base.inc: line 2: "), "{found:?}");
        // `lyncsh edit` does not change a team's profile.
        let advice = findings[0].advice.clone().unwrap();
        assert_eq!(advice, format!("edit {}:4", team.join("work.toml").display()));
        let profile = profile.unwrap();
        assert_eq!(
            (profile.uri.unwrap().as_str(), profile.tags.as_slice()),
            ("https://a.b/c", &["x".to_owned()][..])
        );
        assert_eq!(profile.proxy.to_string(), "none");
        assert!(has_mistakes);
    }
}
