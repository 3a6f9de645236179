//! Finds installed PowerShell modules without starting PowerShell.

use std::path::{Path, PathBuf};

use super::find::{Edition, PowerShell};
#[cfg(unix)]
use crate::folders::xdg;

/// An installed module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// `None` for a module whose folder has no version.
    pub version: Option<String>,
    pub folder: PathBuf,
}

/// Returns the module that this PowerShell would import: the newest version in the first folder of PSModulePath that
/// has it (about_PSModulePath). A module whose path only the user's startup script adds is not found.
pub fn installed(shell: &PowerShell, module: &str) -> Option<Installed> {
    folders(shell).iter().find_map(|folder| newest(folder, module))
}

fn folders(shell: &PowerShell) -> Vec<PathBuf> {
    let inherited = std::env::var_os("PSModulePath").filter(|_| shell.edition == Edition::Core);
    let inherited = inherited.iter().flat_map(std::env::split_paths).collect();
    // The modules of PowerShell itself are beside the program, which may be a link.
    let program = std::fs::canonicalize(&shell.path).ok();
    let own = program.and_then(|program| Some(program.parent()?.join("Modules")));
    search_order(usual(shell.edition).into_iter().chain(own), inherited)
}

/// Returns PSModulePath as PowerShell sets it at its start: the user's folder, the shared folder and its own, before the
/// inherited ones. An inherited folder keeps its place, and the next folder follows it (`ModuleIntrinsics.UpdatePath`).
fn search_order(own: impl IntoIterator<Item = PathBuf>, inherited: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut folders = inherited;
    let mut at = 0;
    for folder in own {
        if let Some(known) = folders.iter().position(|known| *known == folder) {
            at = known + 1;
        } else {
            folders.insert(at, folder);
            at += 1;
        }
    }
    folders
}

#[cfg(unix)]
fn usual(_: Edition) -> Vec<PathBuf> {
    let own = xdg("XDG_DATA_HOME", ".local/share").map(|data| data.join("powershell/Modules"));
    own.into_iter().chain([PathBuf::from("/usr/local/share/powershell/Modules")]).collect()
}

#[cfg(windows)]
fn usual(edition: Edition) -> Vec<PathBuf> {
    let name = if edition == Edition::Windows { "WindowsPowerShell" } else { "PowerShell" };
    let documents =
        directories::UserDirs::new().and_then(|user| user.document_dir().map(std::path::Path::to_owned));
    let programs = std::env::var_os("ProgramFiles").map(PathBuf::from);
    documents.into_iter().chain(programs).map(|folder| folder.join(name).join("Modules")).collect()
}

/// Returns the newest version of a module in a folder.
fn newest(folder: &Path, module: &str) -> Option<Installed> {
    let (folder, manifest) = (folder.join(module), format!("{module}.psd1"));
    let mut found: Vec<Installed> = Vec::new();
    if folder.join(&manifest).is_file() {
        found.push(Installed { version: None, folder: folder.clone() });
    }
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().into_owned();
        if numbers(&version).is_some() && entry.path().join(&manifest).is_file() {
            found.push(Installed { version: Some(version), folder: entry.path() });
        }
    }
    found.into_iter().max_by_key(|one| one.version.as_deref().and_then(numbers))
}

/// Returns the numbers of a version.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_in_the_first_folder_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| temp.path().join(name));
        let put = |path: &str| {
            let path = temp.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let version = |module: &str| {
            folders.iter().find_map(|folder| newest(folder, module)).map(|found| found.version)
        };
        assert_eq!(version("MicrosoftTeams"), None);
        put("a/MicrosoftTeams/6.9.0/MicrosoftTeams.psd1");
        put("a/MicrosoftTeams/7.0.0/other.psd1");
        put("b/MicrosoftTeams/7.1.0/MicrosoftTeams.psd1");
        assert_eq!(version("MicrosoftTeams"), Some(Some("6.9.0".to_owned())));
        put("a/MicrosoftTeams/6.10.0/MicrosoftTeams.psd1");
        assert_eq!(version("MicrosoftTeams"), Some(Some("6.10.0".to_owned())));
        put("b/Other/Other.psd1");
        assert_eq!(version("Other"), Some(None));
    }

    #[test]
    fn own_folders_come_before_inherited_ones() {
        let order = |inherited: &[&str]| {
            let inherited = inherited.iter().map(PathBuf::from).collect();
            let folders = search_order(["user", "shared", "home"].map(PathBuf::from), inherited);
            folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(&[]), "user shared home");
        assert_eq!(order(&["x", "y"]), "user shared home x y");
        assert_eq!(order(&["x", "shared", "y"]), "user x shared home y");
    }
}
