//! The PowerShell module of a profile and the startup script of a launched PowerShell, rendered from
//! `templates/powershell` into the cache and written only if changed.

mod error;
mod files;
mod offered;
mod proxies;
mod render;
mod views;
mod write;

use std::path::{Path, PathBuf};

pub use error::ModuleError;
use render::{Connect, Manifest, Script, Templates};
pub use render::{Exec, ModuleCommand};
pub use write::{WriteError, Written, kept, write};

use crate::exports::{Exports, FORMAT};
use crate::files::replace::remove;
use crate::folders::Folders;
use crate::profile::Profile;
use crate::quote::powershell::quote;

/// Paths of a profile's module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Folder for `PSModulePath`; holds the modules of all profiles.
    pub root: PathBuf,
    /// `lyncsh-NAME`.
    pub name: String,
    /// Manifest with the cmdlet names, found by PowerShell through `PSModulePath`.
    pub manifest: PathBuf,
    /// Script module, imported by its path.
    pub script: PathBuf,
}

/// Returns the folder of all modules.
pub fn root(folders: &Folders) -> PathBuf {
    folders.cache.join("modules")
}

impl Module {
    /// Returns the module of a profile, written or not.
    pub fn of(folders: &Folders, profile: &str) -> Self {
        let root = root(folders);
        let name = format!("lyncsh-{profile}");
        let folder = root.join(&name);
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        Self { manifest: file("psd1"), script: file("psm1"), root, name }
    }

    /// Writes the module if it is missing or if the program's path or version, the profile, a template or the
    /// cmdlet names have changed.
    pub fn prepare(folders: &Folders, program: &Path, profile: &Profile) -> Result<Self, ModuleError> {
        let module = Self::of(folders, &profile.name);
        let templates = Templates::of(folders)?;
        let arguments = arguments(folders, &profile.name)?;
        let own: Vec<String> = arguments.iter().cloned().chain(["--own".to_owned()]).collect();
        let (script, library) = templates.script(&Script {
            module: &module.name,
            program: text(program)?,
            arguments,
            // .NET parses a command line by the Windows rules on every system.
            own: crate::quote::desktop::windows(&own),
            profile,
            version: env!("CARGO_PKG_VERSION"),
        })?;
        let exports = Exports::of(folders, &profile.name);
        exports.prepare()?;
        let prefix = profile.import.prefix.as_deref();
        // Cmdlets of two tenants have the same names, so autoloading is limited to the hook's profiles.
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

    /// Returns the line that imports the module into a running PowerShell. With `several`, a failing line
    /// does not stop the lines after it.
    pub fn import_line(&self, folders: &Folders, several: bool) -> Result<String, ModuleError> {
        Ok(Templates::of(folders)?
            .import(text(&self.script)?, self.name.strip_prefix("lyncsh-").unwrap_or(&self.name), several)?
            .trim()
            .to_owned())
    }

    /// Returns whether another version of lyncsh, or a custom template for another version, wrote the script on
    /// disk with another naming scheme for commands ([`FORMAT`]).
    pub fn is_outdated(&self) -> bool {
        let current = format!("$format = {}", quote(FORMAT));
        let attaches = |script: &str| {
            script.contains("--json") || script.contains("--facts") || script.contains("--own")
        };
        std::fs::read_to_string(&self.script)
            .is_ok_and(|script| attaches(&script) && !script.contains(&current))
    }

    /// Removes a profile's module and its exported commands.
    pub fn discard(folders: &Folders, profile: &str) -> Result<(), ModuleError> {
        let module = Self::of(folders, profile);
        files::remove(&module.root.join(&module.name))?;
        Ok(Exports::of(folders, profile).discard()?)
    }
}

/// Returns the profiles of the startup hook; `None` if lyncsh did not install it.
pub fn hooked(folders: &Folders) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(hooked_path(folders)).ok()?;
    Some(text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect())
}

/// Records the profiles of the startup hook; `None` removes the record.
pub fn set_hooked(folders: &Folders, names: Option<&[&str]>) -> Result<(), ModuleError> {
    let path = hooked_path(folders);
    match names {
        Some(names) => files::write(&path, &names.join("\n")),
        None => remove(&path).map_err(|error| ModuleError::Write { path, error }),
    }
}

/// Changes the name of a profile in the record of the startup hook.
pub fn rename_hooked(folders: &Folders, old: &str, new: &str) -> Result<(), ModuleError> {
    let Some(names) = hooked(folders).filter(|names| names.iter().any(|name| name == old)) else {
        return Ok(());
    };
    let names: Vec<&str> = names.iter().map(|name| if name == old { new } else { name.as_str() }).collect();
    set_hooked(folders, Some(&names))
}

fn hooked_path(folders: &Folders) -> PathBuf {
    folders.cache.join("hook").join("profiles")
}

/// Writes the script for `pwsh -NoLogo -NoExit -File`, which imports the modules by their paths and puts
/// `title` before the prompt. If all modules fail, PowerShell exits with code 1; otherwise the others remain
/// usable.
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

/// Removes the script of [`connect_script`], if it exists.
pub fn discard_connect_script(folders: &Folders, title: &str) -> Result<(), ModuleError> {
    let path = connect_path(folders, title);
    remove(&path).map_err(|error| ModuleError::Write { path, error })
}

/// Returns the script that runs a line without a prompt, and writes its objects and errors as lines.
pub fn exec_script(folders: &Folders, exec: Exec<'_>) -> Result<String, ModuleError> {
    Templates::of(folders)?.exec(exec, env!("CARGO_PKG_VERSION"))
}

/// Returns the text for `-Command`: the connect script, then the user's command. On Windows it first sets
/// the execution policy if necessary.
pub fn command_text(
    folders: &Folders,
    connect: &Path,
    command: ModuleCommand<'_>,
    windows: bool,
) -> Result<String, ModuleError> {
    let rendered = Templates::of(folders)?.command(text(connect)?, command, windows)?;
    Ok(rendered.trim_end().to_owned())
}

/// Returns lyncsh's arguments for the module, with the folders of this process.
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
