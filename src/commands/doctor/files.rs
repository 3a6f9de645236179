//! Checks of owners and modes of lyncsh's folders and files. Blocking.

use std::path::Path;

use super::finding::Finding;
use crate::folders::Folders;
use crate::platform::{self, Access};
use crate::profile;
use crate::quote::desktop;

const CHECK: &str = "folders";

/// Rule for the owner and the permissions of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Only the user. lyncsh corrects the mode when it uses the folder, and refuses a link and the folder of another
    /// user.
    Private,
    /// Others may read.
    Shared,
    /// A team's file: it belongs to any user, and a group may change it.
    Team,
}

/// Checks the folders, and the files of these profiles.
pub fn check(folders: &Folders, profiles: &[String]) -> Vec<Finding> {
    let shared = [folders.config.clone(), folders.profiles(), folders.cache.clone(), folders.state.clone()];
    let state = ["sessions", "notes", "log", "history"].map(|name| folders.state.join(name));
    let cache = ["modules", "connect", "exports"].map(|name| folders.cache.join(name));
    let shared = shared.into_iter().chain([folders.config.join("templates")]);
    let private = state.into_iter().chain(cache).chain([folders.runtime.clone()]);
    let profiles = profiles.iter().map(|name| match profile::of_team(folders, name) {
        Some(path) => (path, Rule::Team),
        None => (folders.profile(name), Rule::Shared),
    });
    let all = shared.map(|path| (path, Rule::Shared)).chain(profiles);
    let all = all.chain(private.map(|path| (path, Rule::Private)));
    let mut count = 0;
    let mut findings = Vec::new();
    for (path, rule) in all {
        match platform::access(&path) {
            Ok(access) => {
                count += usize::from(rule != Rule::Team);
                findings.extend(problem(&path, rule, access));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !path.is_symlink() => {
                // It is created when needed.
            }
            Err(error) => {
                let (found, advice) = if error.kind() == std::io::ErrorKind::NotFound {
                    let found = format!("{} is a link to a missing file or folder", path.display());
                    (found, "correct or remove the link")
                } else {
                    let found = format!("cannot access {}: {error}", path.display());
                    (found, "correct the permissions of its folder")
                };
                findings.push(Finding::failed(CHECK, found, Some(advice.to_owned())));
            }
        }
    }
    if findings.is_empty() {
        // On Windows, only the owner is checked.
        let end = if cfg!(windows) { "" } else { ", and no other user can change them" };
        findings.push(Finding::ok(CHECK, format!("{count} folders and files belong to this user{end}")));
    }
    findings
}

fn problem(path: &Path, rule: Rule, access: Access) -> Option<Finding> {
    /// Permission of all users to write.
    const ALL_WRITE: u32 = 0o002;
    let shown = path.display();
    let mode = access.mode.unwrap_or_default();
    if rule == Rule::Private && access.is_link {
        let found = format!("{shown} is a symbolic link, which lyncsh refuses");
        return Some(Finding::failed(
            CHECK,
            found,
            Some("remove the link: lyncsh creates the folder".into()),
        ));
    }
    if !access.is_own && rule != Rule::Team {
        let found = format!("{shown} belongs to another user");
        let advice = format!("move it away, or make it yours: {}", take_over(path));
        let finding = Finding::failed(CHECK, found, Some(advice));
        return Some(if rule == Rule::Private { finding } else { finding.into_warning() });
    }
    match rule {
        Rule::Private if access.is_readable || access.is_writable => Some(Finding::warning(
            CHECK,
            format!("other users can access {shown} (mode {mode:04o})"),
            format!("run: chmod 700 {}", quoted(path)),
        )),
        Rule::Shared if access.is_writable => Some(Finding::warning(
            CHECK,
            format!("other users can change {shown} (mode {mode:04o})"),
            format!("run: chmod go-w {}", quoted(path)),
        )),
        Rule::Team if mode & ALL_WRITE != 0 => Some(Finding::warning(
            CHECK,
            format!("all users can change {shown} (mode {mode:04o})"),
            format!("ask its owner to run: chmod o-w {}", quoted(path)),
        )),
        _ => None,
    }
}

/// Returns the command that makes a file or folder the user's own.
fn take_over(path: &Path) -> String {
    if cfg!(windows) {
        format!("takeown /F {}", quoted(path))
    } else {
        format!("sudo chown \"$(id -un)\" {}", quoted(path))
    }
}

fn quoted(path: &Path) -> String {
    let word = [path.display().to_string()];
    if cfg!(windows) { desktop::windows(&word) } else { desktop::posix(&word) }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn open_folders_and_files_are_warnings() {
        use std::os::unix::fs::PermissionsExt as _;

        use super::super::finding::State;
        use super::*;

        let (temp, folders) = Folders::temporary();
        let sessions = folders.state.join("sessions");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        // The result does not depend on the umask.
        set(&folders.config, 0o755);
        for folder in [&folders.profiles(), &folders.state, &sessions, &folders.runtime] {
            std::fs::create_dir_all(folder).unwrap();
            set(folder, 0o755);
        }
        std::fs::write(folders.profile("work"), "").unwrap();
        let found = |folders: &Folders| check(folders, &["work".to_owned()]);
        for (path, mode) in [(&sessions, 0o700), (&folders.runtime, 0o700), (&folders.profile("work"), 0o644)]
        {
            set(path, mode);
        }
        let findings = found(&folders);
        assert!(findings.len() == 1 && findings[0].state == State::Ok, "{findings:?}");
        for (path, mode, advice) in [
            (&sessions, 0o777, "chmod 700"),
            (&folders.runtime, 0o750, "chmod 700"),
            (&folders.profile("work"), 0o666, "chmod go-w"),
        ] {
            set(path, mode);
            let findings = found(&folders);
            assert_eq!((findings.len(), findings[0].state), (1, State::Warning), "{findings:?}");
            assert!(
                findings[0].found.contains(&format!("{} (mode 0{mode:o})", path.display())),
                "{findings:?}"
            );
            assert!(findings[0].advice.as_ref().unwrap().contains(advice), "{findings:?}");
            set(path, 0o600 | (mode & 0o100));
        }
        // The target of a link counts; a private folder must not be one.
        let (own, elsewhere) = (folders.profile("work"), temp.path().join("it's.toml"));
        std::fs::rename(&own, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &own).unwrap();
        assert_eq!(found(&folders)[0].state, State::Ok);
        set(&elsewhere, 0o666);
        let findings = found(&folders);
        let advice = format!("run: chmod go-w '{}'", own.display());
        assert_eq!(findings[0].advice.as_ref(), Some(&advice), "{findings:?}");
        std::fs::remove_file(&elsewhere).unwrap();
        let findings = found(&folders);
        assert!(findings[0].found.ends_with("is a link to a missing file or folder"), "{findings:?}");
        std::fs::remove_file(&own).unwrap();
        std::fs::rename(&sessions, temp.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("elsewhere"), &sessions).unwrap();
        let findings = found(&folders);
        assert_eq!((findings.len(), findings[0].state), (1, State::Failed), "{findings:?}");
        assert!(findings[0].found.contains("is a symbolic link"), "{findings:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_teams_profile_may_belong_to_others() {
        use std::os::unix::fs::PermissionsExt as _;

        use super::super::finding::State;
        use super::*;

        let (temp, folders) = Folders::temporary();
        let path = temp.path().join("the team's/work.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::write(folders.config.join("config.toml"), "profiles = [\"the team's\"]").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&folders.config, 0o755);
        let found = |mode| {
            set(&path, mode);
            check(&folders, &["work".to_owned()]).remove(0)
        };
        assert_eq!(found(0o664).state, State::Ok);
        let finding = found(0o666);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.found.contains("all users can change"), "{finding:?}");
        assert!(finding.advice.unwrap().ends_with("the team'\\''s/work.toml'"));
    }
}
