//! Cached proxies of a profile: one folder for each endpoint, account and selection of commands ([`kept`]).
//! PowerShell imports them (`templates/powershell/cached.ps1`); the module writer, the agent and the commands
//! use them.

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

/// Age at which an unfinished export counts as abandoned: real exports took up to 105 s.
const MIN_ABANDONED_AGE: Duration = Duration::from_hours(1);

/// Version in the names of exports. Exports of other versions used another list of names ([`names`]), and are
/// never loaded.
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

    /// Returns the start of an export's paths: `-FORM` follows for the proxies ([`kept::ExportedModule`]),
    /// `.metadata` for their source, and `.commands` for the commands that the agent saw.
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

    /// Creates the private folder, and removes the files of killed exports and of other versions.
    pub fn prepare(&self) -> Result<(), ExportError> {
        let failed = |error| ExportError { path: self.folder.clone(), error };
        for folder in [self.folder.parent(), Some(self.folder.as_path())].into_iter().flatten() {
            platform::private_folder(folder).map_err(failed)?;
        }
        for path in self.paths() {
            let is_passing = half(&path) || is_temporary(&path);
            if !of_this_version(&path) || is_passing && age(&path).is_some_and(|age| age > MIN_ABANDONED_AGE)
            {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Returns the export that was used last, or the newest.
    fn current(&self) -> Option<PathBuf> {
        let named =
            std::fs::read_to_string(self.folder.join(CURRENT)).ok().map(|name| self.folder.join(name));
        named
            .filter(|path| self.whole().any(|whole| whole == *path))
            .or_else(|| self.whole().max_by_key(|path| written(&path.join("names"))))
    }

    /// Returns the command names of the current export, sorted, with their prefix.
    pub fn names(&self, prefix: Option<&str>) -> Option<Vec<String>> {
        self.list("names", prefix)
    }

    /// Returns the aliases of the current export, sorted, with their prefix.
    pub fn aliases(&self, prefix: Option<&str>) -> Option<Vec<String>> {
        self.list("aliases", prefix)
    }

    fn list(&self, of: &str, prefix: Option<&str>) -> Option<Vec<String>> {
        let text = text::read(&self.current()?.join(of)).ok()?;
        let names = text.lines().filter(|line| !line.is_empty());
        let name_check = names::NameCheck::on(std::env::var_os("PATH").as_deref());
        let mut names: Vec<_> = names
            .map(|name| (name, prefixed(name, prefix)))
            .filter(|(remote, name)| name_check.allows(remote, name))
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        Some(names)
    }

    /// Returns whether an export with this stem exists.
    pub fn has(&self, stem: &Path) -> bool {
        let Some(stem) = name_of(stem) else { return false };
        let is_of_stem = |path: &Path| name_of(path).is_some_and(|name| begins_with(name, stem));
        self.paths().iter().any(|path| is_of_stem(path) && path.join("commands").is_file())
    }

    /// Writes the endpoint's current commands in the module's format. `names` must be sorted and unique.
    pub fn record_commands(&self, stem: &Path, names: &[String]) -> Result<(), ExportError> {
        let path = PathBuf::from(format!("{}.commands", stem.display()));
        let text = format!("{}\n", names.join("\n"));
        replace(&path, text.as_bytes(), New::Private).map_err(|error| ExportError { path, error })
    }

    /// Marks the exports for replacement. They stay usable until they are replaced.
    pub fn expire(&self) -> Result<(), ExportError> {
        for folder in self.whole() {
            let path = folder.join(EXPIRED);
            replace(&path, b"", New::Private).map_err(|error| ExportError { path, error })?;
        }
        // The source is also out of date, even if only the source is left.
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

    /// Moves all exports to another profile, and replaces the exports there.
    pub fn move_to(&self, other: &Self) -> Result<(), ExportError> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        other.discard()?;
        let failed = |error| ExportError { path: self.folder.clone(), error };
        std::fs::rename(&self.folder, &other.folder).map_err(failed)
    }

    /// Removes all exports.
    pub fn discard(&self) -> Result<(), ExportError> {
        remove(&self.folder)
    }

    /// Returns the folders of complete exports.
    fn whole(&self) -> impl Iterator<Item = PathBuf> {
        let whole = |path: &PathBuf| of_this_version(path) && !half(path) && path.join("names").is_file();
        self.paths().into_iter().filter(whole)
    }

    fn paths(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

/// Returns whether this version wrote a file: a temporary file, or a file with the name of an export.
fn of_this_version(path: &Path) -> bool {
    let Some(name) = name_of(path) else { return false };
    let hash = name.get(..16).is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_temporary(path) || name == CURRENT || hash && begins_with(&name[16..], FORMAT)
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Returns whether a name begins with a stem or its end: nothing, `-FORM` or an extension follows. Format `n30` is not
/// format `n3`.
fn begins_with(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
}

/// Returns whether a file is the temporary file of an unfinished [`replace`].
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(written(path)?).ok()
}

/// Adds a prefix like `Import-Module -Prefix` (`ModuleCmdletBase.AddPrefixToCommandName`).
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
    fn exports_of_other_versions_are_detected() {
        for (name, own) in [
            ("0123456789abcdefn3-7.6.9", true),
            ("0123456789abcdefn3.commands", true),
            ("0123456789abcdefn1.commands", false),
            (".lyncsh-x", true),
            ("0123456789abcdef-7.6.9", false),
            ("0123456789abcdef.commands", false),
            ("0123456789abcdefn-7.6.9", false),
            ("0123456789abcdefn30-7.6.9", false),
            ("0123456789abcdefn39.commands", false),
            ("key", false),
            (CURRENT, true),
        ] {
            assert_eq!(of_this_version(Path::new(name)), own, "{name}");
        }
        let (_temp, folders) = Folders::temporary();
        let exports = Exports::of(&folders, "work");
        let stem = exports.folder.join("0123456789abcdefn3");
        for (form, own) in [("n30-7.6.9", false), ("n3-7.6.9", true)] {
            let folder = exports.folder.join(format!("0123456789abcdef{form}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("commands"), "").unwrap();
            assert_eq!(exports.has(&stem), own, "{form}");
        }
    }

    #[test]
    fn unfinished_exports_are_removed_after_a_delay() {
        let (_temp, folders) = Folders::temporary();
        let exports = Exports::of(&folders, "work");
        exports.prepare().unwrap();
        let path = exports.folder.join(format!("{TEMPORARY}x"));
        std::fs::write(&path, "half").unwrap();
        exports.prepare().unwrap();
        assert!(path.exists());
        let long_ago = SystemTime::now() - 2 * MIN_ABANDONED_AGE;
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        exports.prepare().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_prefix_is_inserted_before_the_noun() {
        assert_eq!(prefixed("Get-CsTenant", Some("Lw")), "Get-LwCsTenant");
        assert_eq!(prefixed("help", Some("Lw")), "Lwhelp");
        assert_eq!(prefixed("Get-CsTenant", None), "Get-CsTenant");
    }
}
