//! Finds installed PowerShell modules without starting PowerShell.

use std::path::PathBuf;

use super::find::{Edition, PowerShell};

/// An installed module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// `None` for a module whose folder has no version.
    pub version: Option<String>,
    pub folder: PathBuf,
}

/// Returns the newest version of a module in the folders that this PowerShell searches (about_PSModulePath). A
/// module whose path only the user's startup script adds is not found.
pub fn installed(shell: &PowerShell, module: &str) -> Option<Installed> {
    newest(&folders(shell), module)
}

fn folders(shell: &PowerShell) -> Vec<PathBuf> {
    let inherited = std::env::var_os("PSModulePath").filter(|_| shell.edition == Edition::Core);
    let mut folders: Vec<PathBuf> = inherited.iter().flat_map(std::env::split_paths).collect();
    folders.extend(usual(shell.edition));
    // The modules of PowerShell itself are beside the program, which may be a link.
    let program = std::fs::canonicalize(&shell.path).ok();
    folders.extend(program.and_then(|program| Some(program.parent()?.join("Modules"))));
    folders
}

#[cfg(unix)]
fn usual(_: Edition) -> Vec<PathBuf> {
    // PowerShell follows the XDG base directories on macOS as well (`Platform.cs`).
    let data = std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = data.or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".local/share")));
    let own = data.map(|data| data.join("powershell/Modules"));
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

fn newest(folders: &[PathBuf], module: &str) -> Option<Installed> {
    let manifest = format!("{module}.psd1");
    let mut found: Vec<Installed> = Vec::new();
    for folder in folders.iter().map(|folder| folder.join(module)) {
        if folder.join(&manifest).is_file() {
            found.push(Installed { version: None, folder: folder.clone() });
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let version = entry.file_name().to_string_lossy().into_owned();
            if numbers(&version).is_some() && entry.path().join(&manifest).is_file() {
                found.push(Installed { version: Some(version), folder: entry.path() });
            }
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
    fn the_newest_version_of_a_module_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| temp.path().join(name));
        let put = |path: &str| {
            let path = temp.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let version = |module: &str| newest(&folders, module).map(|found| found.version);
        assert_eq!(version("MicrosoftTeams"), None);
        put("a/MicrosoftTeams/6.9.0/MicrosoftTeams.psd1");
        put("a/MicrosoftTeams/7.0.0/other.psd1");
        put("b/MicrosoftTeams/6.10.0/MicrosoftTeams.psd1");
        assert_eq!(version("MicrosoftTeams"), Some(Some("6.10.0".to_owned())));
        put("b/Other/Other.psd1");
        assert_eq!(version("Other"), Some(None));
    }
}
