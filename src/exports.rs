//! The proxies that are kept for a profile: one folder for each endpoint, account and choice of commands
//! ([`kept`]), which a PowerShell imports (`templates/powershell/cached.ps1`).
//! The modules' writer, the agent and the commands look into it.

mod files;
pub mod kept;
pub mod names;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use url::Url;

pub use files::ExportError;
use files::{CURRENT, EXPIRED, half, remove, written};

use crate::files::replace::{New, TEMPORARY, replace};
use crate::files::text;
use crate::folders::Folders;
use crate::platform;
use crate::profile::Profile;

/// An export that takes longer has been killed: real ones took 105 s.
const ABANDONED: Duration = Duration::from_hours(1);

/// Ends the names of what this version exports: what others wrote was chosen by another list of names
/// ([`names`]), and is never loaded.
pub const FORMAT: &str = "n3";

/// The exports of one profile.
#[derive(Clone, Debug)]
pub struct Exports {
    folder: PathBuf,
}

impl Exports {
    pub fn of(folders: &Folders, profile: &str) -> Self {
        Self { folder: folders.cache.join("exports").join(profile) }
    }

    /// Where an export's path begins: `-FORM` follows for the proxies ([`kept::Kept`]), `.metadata` for what they
    /// were written from, and the agent writes `.commands`.
    pub fn stem(&self, profile: &Profile, endpoint: &Url) -> PathBuf {
        let import = &profile.import;
        let key = format!(
            "{endpoint}\0{}\0{:?}\0{:?}\0{}\0{:?}\0{:?}",
            profile.configuration,
            profile.user,
            import.commands,
            import.allow_clobber,
            import.format_data,
            import.prefix,
        );
        self.folder.join(format!("{:016x}{FORMAT}", platform::hash(key.as_bytes())))
    }

    /// Makes the folder, for the user alone, and removes what killed starts and other versions left in it.
    pub fn prepare(&self) -> Result<(), ExportError> {
        let failed = |error| ExportError { path: self.folder.clone(), error };
        for folder in [self.folder.parent(), Some(self.folder.as_path())].into_iter().flatten() {
            platform::private_folder(folder).map_err(failed)?;
        }
        for path in self.paths() {
            let is_passing = half(&path) || is_temporary(&path);
            if !of_this_version(&path) || is_passing && age(&path).is_some_and(|age| age > ABANDONED) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// The export that was used last, else the newest.
    fn current(&self) -> Option<PathBuf> {
        let named =
            std::fs::read_to_string(self.folder.join(CURRENT)).ok().map(|name| self.folder.join(name));
        named
            .filter(|path| self.whole().any(|whole| whole == *path))
            .or_else(|| self.whole().max_by_key(|path| written(&path.join("names"))))
    }

    /// The names that the current export has, sorted, with their prefix.
    pub fn names(&self, prefix: Option<&str>) -> Option<Vec<String>> {
        self.list("names", prefix)
    }

    /// The aliases that the current export has, likewise.
    pub fn aliases(&self, prefix: Option<&str>) -> Option<Vec<String>> {
        self.list("aliases", prefix)
    }

    fn list(&self, of: &str, prefix: Option<&str>) -> Option<Vec<String>> {
        let text = text::read(&self.current()?.join(of)).ok()?;
        let names = text.lines().filter(|line| !line.is_empty());
        let refusal = names::Refusal::on(std::env::var_os("PATH").as_deref());
        let mut names: Vec<_> = names
            .map(|name| (name, prefixed(name, prefix)))
            .filter(|(remote, name)| refusal.allows(remote, name))
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        Some(names)
    }

    /// Whether a PowerShell has exported something that begins with this path.
    pub fn has(&self, stem: &Path) -> bool {
        let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(stem) = named(stem) else { return false };
        self.paths().iter().any(|path| {
            named(path).is_some_and(|name| name.starts_with(&stem)) && path.join("commands").is_file()
        })
    }

    /// Writes down what the endpoint offers now: sorted, each once, as the module writes it.
    pub fn saw(&self, stem: &Path, names: &[String]) -> Result<(), ExportError> {
        let path = PathBuf::from(format!("{}.commands", stem.display()));
        let text = format!("{}\n", names.join("\n"));
        replace(&path, text.as_bytes(), New::Private).map_err(|error| ExportError { path, error })
    }

    /// Has the next start of each PowerShell export anew. What is there serves until that is done.
    pub fn expire(&self) -> Result<(), ExportError> {
        for folder in self.whole() {
            let path = folder.join(EXPIRED);
            replace(&path, b"", New::Private).map_err(|error| ExportError { path, error })?;
        }
        // What they were written from serves no more, also where only that is left.
        for path in
            self.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "metadata"))
        {
            std::fs::remove_file(&path).map_err(|error| ExportError { path, error })?;
        }
        Ok(())
    }

    /// Returns whether the current export is marked for replacement.
    pub fn has_expired(&self) -> bool {
        self.current().is_some_and(|folder| folder.join(EXPIRED).exists())
    }

    /// Forgets all of them: the next start exports anew.
    pub fn discard(&self) -> Result<(), ExportError> {
        remove(&self.folder)
    }

    /// The folders whose export is done.
    fn whole(&self) -> impl Iterator<Item = PathBuf> {
        let whole = |path: &PathBuf| of_this_version(path) && !half(path) && path.join("names").is_file();
        self.paths().into_iter().filter(whole)
    }

    fn paths(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

/// Whether this version has written it: the file that is being written, and all that begins as a stem does.
fn of_this_version(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(std::ffi::OsStr::to_str) else { return false };
    let hash = name.get(..16).is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_temporary(path) || name == CURRENT || hash && name[16..].starts_with(FORMAT)
}

/// Returns whether a file is the temporary file of an unfinished [`replace`].
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(written(path)?).ok()
}

/// A command's name as `Import-Module -Prefix` makes it (`ModuleCmdletBase.AddPrefixToCommandName`).
pub fn prefixed(name: &str, prefix: Option<&str>) -> String {
    let Some(prefix) = prefix else { return name.to_owned() };
    match name.split_once('-') {
        Some((verb, noun)) if !verb.is_empty() && !noun.is_empty() => format!("{verb}-{prefix}{noun}"),
        _ => format!("{prefix}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_versions_wrote_is_not_of_this_one() {
        for (name, own) in [
            ("0123456789abcdefn3-7.6.9", true),
            ("0123456789abcdefn3.commands", true),
            ("0123456789abcdefn1.commands", false),
            (".lyncsh-x", true),
            ("0123456789abcdef-7.6.9", false),
            ("0123456789abcdef.commands", false),
            ("0123456789abcdefn-7.6.9", false),
            ("key", false),
            (CURRENT, true),
        ] {
            assert_eq!(of_this_version(Path::new(name)), own, "{name}");
        }
    }

    #[test]
    fn what_another_start_is_writing_stays_until_it_must_have_been_killed() {
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        let exports = Exports::of(&folders, "work");
        exports.prepare().unwrap();
        let path = exports.folder.join(format!("{TEMPORARY}x"));
        std::fs::write(&path, "half").unwrap();
        exports.prepare().unwrap();
        assert!(path.exists());
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        exports.prepare().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_prefix_goes_before_the_noun() {
        assert_eq!(prefixed("Get-CsTenant", Some("Lw")), "Get-LwCsTenant");
        assert_eq!(prefixed("help", Some("Lw")), "Lwhelp");
        assert_eq!(prefixed("Get-CsTenant", None), "Get-CsTenant");
    }
}
