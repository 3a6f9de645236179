//! Reads the profiles to check, also those with mistakes.

use std::path::Path;

use super::finding::Finding;
use crate::commands::names;
use crate::files::text;
use crate::folders::Folders;
use crate::profile::{self, Mistake, Profile, ProfileError, Read, StoreError};

const CHECK: &str = "profile";
/// Maximum number of times that lines with mistakes are left out: a mistake may hide others.
const ATTEMPTS: usize = 3;

/// One connection to check.
pub struct Subject {
    pub name: String,
    pub findings: Vec<Finding>,
    /// Without the lines that have mistakes; `None` if the rest is not a profile.
    pub profile: Option<Profile>,
}

/// The profiles of a command.
pub struct Subjects {
    /// Findings about the group; `None` for a single connection.
    pub group: Option<Vec<Finding>>,
    pub connections: Vec<Subject>,
    /// `shell` of the group or the connection.
    pub shell: Option<String>,
}

/// Reads a profile or a group of profiles.
///
/// # Errors
/// There is no profile with this name.
pub fn read(folders: &Folders, name: &str) -> Result<Subjects, StoreError> {
    let listed = match profile::load(folders, name) {
        Err(StoreError::Several { connections, .. }) => connections,
        Err(error @ (StoreError::Missing { .. } | StoreError::Name { .. })) => return Err(error),
        loaded => {
            let connection = subject(folders, name, loaded);
            let shell = connection.profile.as_ref().and_then(|profile| profile.shell.clone());
            return Ok(Subjects { group: None, connections: vec![connection], shell });
        }
    };
    let mut group: Vec<Finding> = hidden(folders, name).into_iter().collect();
    let (mut shell, mut is_reported) = (None, true);
    match profile::connections(folders, name) {
        Ok(connections) => {
            group.push(Finding::ok(CHECK, format!("{}: {}", connections.path.display(), listed.join(", "))));
            shell = connections.shell;
        }
        Err(StoreError::Mistakes(error)) if Path::new(&error.path) == folders.profile(name) => {
            group.extend(mistakes(&error));
        }
        // Mistakes of a connection follow with it; they hide those of the group.
        Err(_) => is_reported = false,
    }
    let mut connections = Vec::new();
    for one in &listed {
        match profile::load(folders, one) {
            Err(
                error @ (StoreError::Missing { .. } | StoreError::Name { .. } | StoreError::Several { .. }),
            ) if !is_reported => group.push(Finding::error(CHECK, &error)),
            Err(StoreError::Missing { .. } | StoreError::Name { .. } | StoreError::Several { .. }) => {}
            loaded => connections.push(subject(folders, one, loaded)),
        }
    }
    Ok(Subjects { group: Some(group), connections, shell })
}

fn subject(folders: &Folders, name: &str, loaded: Result<Profile, StoreError>) -> Subject {
    let mut findings: Vec<Finding> = hidden(folders, name).into_iter().collect();
    let profile = match loaded {
        Ok(profile) => {
            findings.push(Finding::ok(CHECK, described(&profile)));
            Some(profile)
        }
        Err(StoreError::Mistakes(error)) => {
            findings.extend(mistakes(&error));
            rest(folders, name, error)
        }
        Err(error) => {
            findings.push(Finding::error(CHECK, &error));
            None
        }
    };
    Subject { name: name.to_owned(), findings, profile }
}

fn described(profile: &Profile) -> String {
    let user = profile.user.as_ref().map(|user| format!(", {user}")).unwrap_or_default();
    let uri = profile.uri.as_ref().map(|uri| format!(", {uri}")).unwrap_or_default();
    format!("{}: {}{user}{uri}", profile.path.display(), profile.kind)
}

/// Returns the finding of a profile that a command hides.
fn hidden(folders: &Folders, name: &str) -> Option<Finding> {
    let line = names::hidden(folders, name)?;
    let (found, advice) = line.split_once(". ").unwrap_or((&line, ""));
    Some(Finding::failed(CHECK, found, Some(advice.to_owned())))
}

fn mistakes(error: &ProfileError) -> Vec<Finding> {
    let help = miette::Diagnostic::help(error).map(|help| help.to_string());
    let line = |line: String| Finding::failed(CHECK, format!("{}: {line}", error.path), help.clone());
    error.lines().into_iter().map(line).collect()
}

/// Reads a profile without the lines that have mistakes.
fn rest(folders: &Folders, name: &str, error: ProfileError) -> Option<Profile> {
    let path = folders.profile(name);
    let mut text = text::read(&path).ok()?;
    let mut mistakes = error.mistakes;
    for _ in 0..ATTEMPTS {
        text = without(&text, &mistakes);
        match profile::read(name, &path, &text) {
            Ok(Read::One(profile)) => return Some(*profile),
            Ok(Read::Several(_)) => return None,
            Err(error) => mistakes = error.mistakes,
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
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
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
}
