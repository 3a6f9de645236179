//! Checks of owners and modes of lyncsh's folders and files. Blocking.

use std::path::Path;

use super::finding::Finding;
use crate::folders::Folders;
use crate::platform::{self, Access};

const CHECK: &str = "folders";

/// Who may access a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Only the user. lyncsh corrects the mode when it uses the folder, and refuses the folder of another user.
    Private,
    /// Others may read.
    Shared,
}

/// Checks the folders, and the files of these profiles.
pub fn check(folders: &Folders, profiles: &[String]) -> Vec<Finding> {
    let shared = [folders.config.clone(), folders.profiles(), folders.cache.clone(), folders.state.clone()];
    let state = ["sessions", "notes", "log", "history"].map(|name| folders.state.join(name));
    let cache = ["modules", "connect", "exports"].map(|name| folders.cache.join(name));
    let shared = shared.into_iter().chain([folders.config.join("templates")]);
    let shared = shared.chain(profiles.iter().map(|name| folders.profile(name)));
    let private = state.into_iter().chain(cache).chain([folders.runtime.clone()]);
    let all = shared.map(|path| (path, Rule::Shared)).chain(private.map(|path| (path, Rule::Private)));
    let mut count = 0;
    let mut findings = Vec::new();
    for (path, rule) in all {
        match platform::access(&path) {
            Ok(access) => {
                count += 1;
                findings.extend(problem(&path, rule, access));
            }
            // It is created when needed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let found = format!("cannot access {}: {error}", path.display());
                findings.push(Finding::failed(
                    CHECK,
                    found,
                    Some("correct the permissions of its folder".into()),
                ));
            }
        }
    }
    if findings.is_empty() {
        let found =
            format!("{count} folders and files belong to this user, and no other user can change them");
        findings.push(Finding::ok(CHECK, found));
    }
    findings
}

fn problem(path: &Path, rule: Rule, access: Access) -> Option<Finding> {
    let shown = path.display();
    if !access.is_own {
        let found = format!("{shown} belongs to another user");
        let advice = format!("move it away, or make it yours: chown \"$(id -un)\" '{shown}'");
        let finding = Finding::failed(CHECK, found, Some(advice));
        return Some(if rule == Rule::Private { finding } else { finding.into_warning() });
    }
    let mode = access.mode.unwrap_or_default();
    match rule {
        _ if path.is_symlink() => None,
        Rule::Private if access.is_readable || access.is_writable => Some(Finding::warning(
            CHECK,
            format!("other users can access {shown} (mode {mode:04o})"),
            format!("run: chmod 700 '{shown}'"),
        )),
        Rule::Shared if access.is_writable => Some(Finding::warning(
            CHECK,
            format!("other users can change {shown} (mode {mode:04o})"),
            format!("run: chmod go-w '{shown}'"),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn open_folders_and_files_are_warnings() {
        use std::os::unix::fs::PermissionsExt as _;

        use super::super::finding::State;
        use super::*;

        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        let sessions = folders.state.join("sessions");
        for folder in [&folders.profiles(), &sessions, &folders.runtime] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(folders.profile("work"), "").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
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
    }
}
