//! Paths of local files as PowerShell writes them: `~`, wildcards, a provider's prefix.

use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use crate::folders::home;
use crate::line::error::LineError;
use crate::psrp::clixml::{Object, Value, type_names};
use crate::wildcard::like;

/// Name of PowerShell's provider for files.
pub const PROVIDER: &str = "Microsoft.PowerShell.Core\\FileSystem";

/// The folder of the last [`enter`]: as given, and as the system reports it.
static ENTERED: Mutex<Option<(PathBuf, PathBuf)>> = Mutex::new(None);

/// Changes the current folder. Its path keeps its symbolic links, as in PowerShell.
pub fn enter(folder: &Path) -> std::io::Result<()> {
    let given = absolute(folder);
    std::env::set_current_dir(&given)?;
    let real = std::env::current_dir()?;
    if let Ok(mut entered) = ENTERED.lock() {
        *entered = Some((given, real));
    }
    Ok(())
}

/// Returns the current folder, with the symbolic links of its path.
pub fn folder() -> std::io::Result<PathBuf> {
    let real = std::env::current_dir()?;
    let entered = ENTERED.lock().ok().and_then(|entered| entered.clone());
    Ok(match entered {
        Some((given, same)) if same == real => given,
        _ => real,
    })
}

/// Returns the path that a text names: without the provider's prefix, with `~` as the home folder. A path with
/// `..` is relative to the path of the current folder, not to the target of its links.
pub fn located(path: &str) -> PathBuf {
    let bare = path.split_once("::").filter(|(provider, _)| {
        provider.eq_ignore_ascii_case(PROVIDER) || provider.eq_ignore_ascii_case("FileSystem")
    });
    let path = bare.map_or(path, |(_, rest)| rest);
    let rest = match path.strip_prefix('~') {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix(['/', '\\']),
        None => None,
    };
    let below = |home: PathBuf, rest: &str| if rest.is_empty() { home } else { home.join(rest) };
    if let Some(whole) = rest.and_then(|rest| Some(below(home()?, rest))) {
        return whole;
    }
    let path = PathBuf::from(path);
    let leads_up = path.is_relative() && path.components().any(|part| part == Component::ParentDir);
    if leads_up && folder().ok() != std::env::current_dir().ok() { absolute(&path) } else { path }
}

/// Returns the absolute path without `.` and `..`. Symbolic links are not followed.
pub fn absolute(path: &Path) -> PathBuf {
    let below = folder().ok().filter(|_| path.is_relative()).map(|folder| folder.join(path));
    let whole = below.unwrap_or_else(|| path.to_owned());
    let whole = std::path::absolute(&whole).unwrap_or(whole);
    let mut clean = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    clean
}

/// Returns whether a text contains a wildcard.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Returns PowerShell's error for a missing path.
pub fn missing(cmdlet: &str, path: &Path) -> LineError {
    LineError(format!("{cmdlet}: Cannot find path '{}' because it does not exist.", absolute(path).display()))
}

/// Refuses the path of another provider, such as `Env:` and `HKLM:`.
pub fn check_drive(cmdlet: &str, path: &str) -> Result<(), LineError> {
    let Some((drive, _)) = path.split_once(':') else { return Ok(()) };
    let is_name = !drive.is_empty() && drive.chars().all(|letter| letter.is_ascii_alphanumeric());
    let is_local = path[drive.len()..].starts_with("::") || cfg!(windows) && drive.len() == 1;
    if is_name && !is_local {
        return Err(LineError(format!(
            "{cmdlet}: Cannot find drive. A drive with the name '{drive}' does not exist."
        )));
    }
    Ok(())
}

/// Returns the paths that a wildcard pattern matches, sorted by name. A name that begins with a dot matches only if the
/// pattern begins with a dot or `force` is set.
pub fn matching(pattern: &str, force: bool) -> Vec<PathBuf> {
    let whole = located(pattern);
    let mut found = vec![PathBuf::new()];
    for part in whole.components() {
        let name = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !is_pattern(&name) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let mut names: Vec<_> = std::fs::read_dir(here)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name())
                .filter(|entry| {
                    let entry = entry.to_string_lossy();
                    let is_shown = force || !entry.starts_with('.') || name.starts_with('.');
                    is_shown && like(&name, &entry)
                })
                .collect();
            names.sort_by_key(|entry| entry.to_string_lossy().to_uppercase());
            next.extend(names.into_iter().map(|entry| folder.join(entry)));
        }
        found = next;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found
}

/// Returns the path in the properties of an object, such as a file of Get-ChildItem.
pub fn of_item(value: &Value) -> Option<PathBuf> {
    let path = ["PSPath", "LiteralPath", "FullName", "Path"].iter().find_map(|name| value.property(name))?;
    Some(located(&path.display_text()))
}

/// Returns the PathInfo of a folder.
pub fn path_info(folder: &Path) -> Value {
    let path = folder.display().to_string();
    let drive = match folder.components().next() {
        Some(Component::Prefix(prefix)) => {
            prefix.as_os_str().to_string_lossy().trim_end_matches(':').to_owned()
        }
        _ => "/".to_owned(),
    };
    Object {
        type_names: type_names(["System.Management.Automation.PathInfo", "System.Object"]),
        to_string: Some(path.clone()),
        adapted: vec![
            ("Drive".into(), drive.into()),
            ("Provider".into(), PROVIDER.into()),
            ("ProviderPath".into(), path.clone().into()),
            ("Path".into(), path.into()),
        ],
        ..Object::default()
    }
    .into()
}

/// Returns the PathInfo of the current folder; null if the folder was removed.
pub fn current() -> Value {
    folder().map_or(Value::Null, |folder| path_info(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_in_each_part_of_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "A.TXT", ".hidden.txt", "one/x.csv", "two/y.csv"] {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let found = |pattern: &str, force| -> Vec<String> {
            let pattern = folder.path().join(pattern).display().to_string();
            matching(&pattern, force)
                .iter()
                .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(found("*.txt", false), ["A.TXT", "b.txt"]);
        assert_eq!(found("*.txt", true), [".hidden.txt", "A.TXT", "b.txt"]);
        assert_eq!(found(".h*", false), [".hidden.txt"]);
        let sep = std::path::MAIN_SEPARATOR;
        assert_eq!(found("*/?.csv", false), [format!("one{sep}x.csv"), format!("two{sep}y.csv")]);
        assert!(found("none*", false).is_empty());
    }

    #[test]
    fn drives_of_other_providers_are_refused() {
        for (path, fits) in
            [("Env:PATH", false), ("a.txt", true), ("FileSystem::/tmp", true), ("/tmp/a:b", true)]
        {
            assert_eq!(check_drive("Get-ChildItem", path).is_ok(), fits, "{path}");
        }
        assert_eq!(located("FileSystem::/tmp"), PathBuf::from("/tmp"));
        assert!(absolute(Path::new("a/../b/./c")).ends_with("b/c"));
    }
}
