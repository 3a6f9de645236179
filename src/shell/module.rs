//! The PowerShell module of a profile, and the script that a launched PowerShell begins with: rendered
//! from `templates/powershell` into the cache, and only written where something has changed.

mod error;
mod files;
mod offered;
mod proxies;
mod render;
mod views;
mod write;

use std::path::{Path, PathBuf};

pub use error::ModuleError;
pub use render::ModuleCommand;
use render::{Connect, Manifest, Script, Templates};
pub use write::{WriteError, Written, kept, write};

use crate::exports::{Exports, FORMAT};
use crate::folders::Folders;
use crate::profile::Profile;
use crate::quote::powershell::quote;

/// One module, on the disk and ready to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The folder that goes on `PSModulePath`; it holds the modules of all profiles.
    pub root: PathBuf,
    /// `lyncsh-NAME`.
    pub name: String,
    /// Found by PowerShell on `PSModulePath`: it lists the cmdlets' names.
    pub manifest: PathBuf,
    /// Imported by its path.
    pub script: PathBuf,
}

/// The folder of all modules.
pub fn root(folders: &Folders) -> PathBuf {
    folders.cache.join("modules")
}

impl Module {
    /// Where the module of a profile is, whether or not it has been written.
    pub fn of(folders: &Folders, profile: &str) -> Self {
        let root = root(folders);
        let name = format!("lyncsh-{profile}");
        let folder = root.join(&name);
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        Self { manifest: file("psd1"), script: file("psm1"), root, name }
    }

    /// Writes the module where it is missing, or where the program's path, its version, the profile, a
    /// template or the cmdlets' names have changed.
    pub fn prepare(folders: &Folders, program: &Path, profile: &Profile) -> Result<Self, ModuleError> {
        let module = Self::of(folders, &profile.name);
        let templates = Templates::of(folders)?;
        let arguments = arguments(folders, &profile.name)?;
        let own: Vec<String> = arguments.iter().cloned().chain(["--own".to_owned()]).collect();
        let (script, library) = templates.script(&Script {
            module: &module.name,
            program: text(program)?,
            arguments,
            // .NET takes it apart as Windows does, on every system.
            own: crate::quote::desktop::windows(&own),
            profile,
            version: env!("CARGO_PKG_VERSION"),
        })?;
        let exports = Exports::of(folders, &profile.name);
        exports.prepare()?;
        let prefix = profile.import.prefix.as_deref();
        // Two tenants' cmdlets have the same names: PowerShell finds those of the hook's profiles alone.
        let found = hooked(folders).is_none_or(|names| names.contains(&profile.name));
        let listed = |names: Option<Vec<String>>| if found { names } else { Some(Vec::new()) };
        let manifest = templates.manifest(&Manifest {
            script: format!("{}.psm1", module.name),
            version: env!("CARGO_PKG_VERSION"),
            description: format!("The cmdlets of the session '{}'", profile.name),
            names: listed(exports.names(prefix)),
            aliases: listed(exports.aliases(prefix)),
        })?;
        if let Some(library) = library {
            files::write(&module.script.with_file_name(render::LIBRARY), &library)?;
        }
        files::write(&module.script, &script)?;
        files::write(&module.manifest, &manifest)?;
        Ok(module)
    }

    /// The line that imports the module into a PowerShell that runs. One of `several` that fails leaves
    /// the lines after it to be run.
    pub fn import_line(&self, folders: &Folders, several: bool) -> Result<String, ModuleError> {
        Ok(Templates::of(folders)?
            .import(text(&self.script)?, self.name.strip_prefix("lyncsh-").unwrap_or(&self.name), several)?
            .trim()
            .to_owned())
    }

    /// Whether the script on the disk was written by a version that chose the names of commands in another way,
    /// or from a user's template of such a version.
    pub fn is_outdated(&self) -> bool {
        let current = format!("$format = {}", quote(FORMAT));
        let attaches = |script: &str| {
            script.contains("--json") || script.contains("--facts") || script.contains("--own")
        };
        std::fs::read_to_string(&self.script)
            .is_ok_and(|script| attaches(&script) && !script.contains(&current))
    }

    /// Removes what is kept for a profile: its module and its exported commands.
    pub fn discard(folders: &Folders, profile: &str) -> Result<(), ModuleError> {
        let module = Self::of(folders, profile);
        files::remove(&module.root.join(&module.name))?;
        Ok(Exports::of(folders, profile).discard()?)
    }
}

/// The profiles of the startup hook; `None` where it was not installed by lyncsh.
fn hooked(folders: &Folders) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(hooked_path(folders)).ok()?;
    Some(text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect())
}

/// Notes the profiles of the startup hook, or that there is none.
pub fn set_hooked(folders: &Folders, names: Option<&[&str]>) -> Result<(), ModuleError> {
    let path = hooked_path(folders);
    match names {
        Some(names) => files::write(&path, &names.join("\n")),
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ModuleError::Write { path, error })
            }
            _ => Ok(()),
        },
    }
}

fn hooked_path(folders: &Folders) -> PathBuf {
    folders.cache.join("hook").join("profiles")
}

/// Writes the script for `pwsh -NoLogo -NoExit -File`: it imports the modules by their paths, and puts
/// `title` before the prompt. A module that fails leaves the others usable; where all fail, the
/// PowerShell ends with 1.
pub fn connect_script(
    folders: &Folders,
    program: &Path,
    title: &str,
    modules: &[Module],
) -> Result<PathBuf, ModuleError> {
    let mut listed = Vec::new();
    for module in modules {
        listed.push((module.name.as_str(), text(&module.script)?));
    }
    let rendered = Templates::of(folders)?.connect(&Connect {
        title,
        program: text(program)?,
        modules: listed,
        version: env!("CARGO_PKG_VERSION"),
    })?;
    let path = connect_path(folders, title);
    files::write(&path, &rendered)?;
    Ok(path)
}

fn connect_path(folders: &Folders, title: &str) -> PathBuf {
    folders.cache.join("connect").join(format!("{title}.ps1"))
}

/// Removes the script that [`connect_script`] wrote, if it did.
pub fn discard_connect_script(folders: &Folders, title: &str) -> Result<(), ModuleError> {
    let path = connect_path(folders, title);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ModuleError::Write { path, error }),
        _ => Ok(()),
    }
}

/// What `-Command` is to run: the script that connects, and then what the person wants run. On Windows
/// an execution policy may have to be dealt with before.
pub fn command_text(
    folders: &Folders,
    connect: &Path,
    command: ModuleCommand<'_>,
    windows: bool,
) -> Result<String, ModuleError> {
    let rendered = Templates::of(folders)?.command(text(connect)?, command, windows)?;
    Ok(rendered.trim_end().to_owned())
}

/// What lyncsh is called with, so that it finds the same folders as this process.
fn arguments(folders: &Folders, profile: &str) -> Result<Vec<String>, ModuleError> {
    let mut arguments = Vec::new();
    if Folders::find(None).ok().as_ref() != Some(folders) {
        arguments.extend(["--config-dir".to_owned(), text(&folders.config)?.to_owned()]);
    }
    arguments.extend(["attach".to_owned(), profile.to_owned()]);
    Ok(arguments)
}

fn text(path: &Path) -> Result<&str, ModuleError> {
    path.to_str().ok_or_else(|| ModuleError::NotUnicode { path: path.to_owned() })
}
