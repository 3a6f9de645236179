//! Notice about unverified parts of a profile, shown once per profile and part.

use std::path::PathBuf;

use crate::files::replace::{New, move_file, remove, replace};
use crate::folders::Folders;
use crate::profile::{Attach, Profile};
use crate::shell::pwsh::find::Edition;

fn mark(folders: &Folders, name: &str) -> PathBuf {
    folders.state.join("unverified").join(name)
}

/// Returns the unverified parts of a profile, spelled as in a profile.
fn reasons(profile: &Profile, edition: Option<Edition>) -> Vec<String> {
    let kind = (!profile.kind.traits().verified).then(|| format!("kind = \"{}\"", profile.kind));
    let attach = match profile.import.attach {
        Attach::Agent => None,
        Attach::Own => Some("attach = false".to_owned()),
        Attach::Connector => Some(format!("attach = \"{}\"", Attach::CONNECTOR)),
    };
    let shell = (edition == Some(Edition::Windows)).then(|| "Windows PowerShell 5.1".to_owned());
    kind.into_iter().chain(attach).chain(shell).collect()
}

/// Writes one line to standard error, unless it was shown for this profile before.
///
/// `edition`: the PowerShell that uses the profile, if known.
pub fn notice(folders: &Folders, profile: &Profile, edition: Option<Edition>) {
    let path = mark(folders, &profile.name);
    let seen = std::fs::read_to_string(&path).unwrap_or_default();
    let all = reasons(profile, edition);
    let new: Vec<&str> =
        all.iter().map(String::as_str).filter(|reason| !seen.lines().any(|line| line == *reason)).collect();
    if new.is_empty() {
        return;
    }
    crate::errln!("'{}': {}: not verified against a real server", profile.name, new.join(", "));
    let text = seen.lines().chain(new).map(|line| format!("{line}\n")).collect::<String>();
    // If this fails, the notice is shown again.
    let _ = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let _ = replace(&path, text.as_bytes(), New::Private);
}

/// Removes the record of a profile's notices.
pub fn discard(folders: &Folders, name: &str) -> std::io::Result<()> {
    remove(&mark(folders, name))
}

/// Moves the record of a profile's notices to another profile.
pub fn rename(folders: &Folders, old: &str, new: &str) -> std::io::Result<()> {
    move_file(&mark(folders, old), &mark(folders, new))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_unverified_setting_is_a_reason() {
        let of = |text: &str, edition| {
            let profile = crate::profile::parse("work", Path::new("work.toml"), text).unwrap();
            reasons(&profile, edition)
        };
        let lync = "kind = 'lync-online'\nuser = 'a@b.c'\n";
        assert!(of(lync, None).is_empty());
        assert!(of(lync, Some(Edition::Core)).is_empty());
        assert_eq!(of(lync, Some(Edition::Windows)), ["Windows PowerShell 5.1"]);
        assert_eq!(of(&format!("{lync}attach = false"), None), ["attach = false"]);
        assert_eq!(
            of(&format!("{lync}attach = 'New-CsOnlineSession'"), None),
            ["attach = \"New-CsOnlineSession\""]
        );
        assert_eq!(of("kind = 'teams'", None), ["kind = \"teams\""]);
        assert_eq!(of("kind = 'exchange-online'", None), ["kind = \"exchange-online\""]);
    }

    #[test]
    fn a_reason_is_recorded_once_per_profile() {
        let (_temp, folders) = Folders::temporary();
        let profile = crate::profile::parse("work", Path::new("work.toml"), "kind = 'teams'").unwrap();
        let seen = || std::fs::read_to_string(mark(&folders, "work")).unwrap_or_default();
        notice(&folders, &profile, None);
        assert_eq!(seen(), "kind = \"teams\"\n");
        notice(&folders, &profile, Some(Edition::Windows));
        notice(&folders, &profile, Some(Edition::Windows));
        assert_eq!(seen(), "kind = \"teams\"\nWindows PowerShell 5.1\n");
        discard(&folders, "work").unwrap();
        discard(&folders, "work").unwrap();
        assert_eq!(seen(), "");
    }
}
