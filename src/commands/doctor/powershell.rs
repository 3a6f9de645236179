//! Checks of the hook, the modules of profiles, and shell completions. Blocking.

use std::path::PathBuf;

use clap_complete::Shell;

use super::finding::Finding;
use crate::commands::completions;
use crate::desktop::startup;
use crate::exports::Exports;
use crate::folders::{Folders, home, xdg};
use crate::profile::Profile;
use crate::shell::module::{self, Module};

/// Checks the hook in PowerShell's startup scripts.
pub fn hook(folders: &Folders) -> Finding {
    const CHECK: &str = "hook";
    let scripts = match startup::scripts() {
        Ok(scripts) => scripts,
        Err(error) => return Finding::error(CHECK, &error).into_warning(),
    };
    let mut with = Vec::new();
    for script in &scripts {
        match startup::has_block(&script.path) {
            Ok(true) => with.push(script.path.display().to_string()),
            Ok(false) => {}
            Err(error) => return Finding::error(CHECK, &error).into_warning(),
        }
    }
    let hooked = module::hooked(folders);
    let names = hooked.as_ref().map(|names| names.join(", ")).unwrap_or_default();
    match (with.is_empty(), hooked.is_some()) {
        (true, false) => Finding::ok(CHECK, "not installed; `lyncsh hook install` installs it"),
        (true, true) => Finding::warning(
            CHECK,
            format!("no startup script of PowerShell has the hook for {names}"),
            "run `lyncsh hook install`, or `lyncsh hook remove` if you do not want it",
        ),
        // Installed manually, or with another --config-dir.
        (false, false) => Finding::ok(CHECK, format!("installed for other profiles: {}", with.join(", "))),
        (false, true) => Finding::ok(CHECK, format!("installed for {names}: {}", with.join(", "))),
    }
}

/// Checks the PowerShell module of a profile, and its cached proxies.
pub fn module(folders: &Folders, profile: &Profile) -> Finding {
    const CHECK: &str = "module";
    let name = &profile.name;
    let module = Module::of(folders, name);
    let is_hooked = module::hooked(folders).is_some_and(|names| names.contains(name));
    let has = [&module.manifest, &module.script].map(|path| path.is_file());
    match has {
        [true, true] if module.is_outdated() => Finding::warning(
            CHECK,
            format!("{} is from another version of lyncsh", module.script.display()),
            format!("remove your template, or run `lyncsh attach {name} --module`"),
        ),
        [true, true] => {
            let exports = Exports::of(folders, name);
            let names = exports.names(profile.import.prefix.as_deref());
            let cached = match names {
                _ if exports.has_expired() => ", proxies to be rebuilt".to_owned(),
                Some(names) => format!(", {} cached cmdlets", names.len()),
                None => String::new(),
            };
            Finding::ok(CHECK, format!("{}{cached}", module.manifest.display()))
        }
        _ if is_hooked => Finding::warning(
            CHECK,
            format!("the hook imports {}, which is missing", module.name),
            "run `lyncsh hook install`",
        ),
        _ => Finding::ok(CHECK, "not written yet; the first PowerShell with this profile writes it"),
    }
}

/// Checks whether shell completions are installed, and whether this version generated them.
pub fn completions() -> Finding {
    const CHECK: &str = "completions";
    let (mut current, mut old) = (Vec::new(), Vec::new());
    for (shell, path) in files() {
        let Ok(installed) = std::fs::read(&path) else { continue };
        let Ok(script) = completions::script(shell) else { continue };
        let line = format!("{shell}: {}", path.display());
        if installed == script { current.push(line) } else { old.push((shell, line)) }
    }
    // Startup files that generate them at each start.
    for (shell, path) in startup_files() {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.contains("lyncsh completions") {
            current.push(format!("{shell}: {}", path.display()));
        }
    }
    if let Some((shell, _)) = old.first() {
        let lines: Vec<&str> = old.iter().map(|(_, line)| line.as_str()).collect();
        return Finding::warning(
            CHECK,
            format!("from another version of lyncsh: {}", lines.join(", ")),
            format!("replace the file with the output of `lyncsh completions {shell}`"),
        );
    }
    match current.as_slice() {
        [] => Finding::ok(CHECK, "not installed in a usual place; `lyncsh completions SHELL` prints them"),
        current => Finding::ok(CHECK, current.join(", ")),
    }
}

fn configuration() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// Returns the files in which the shells look for completions.
fn files() -> Vec<(Shell, PathBuf)> {
    let mut files = vec![
        (Shell::Bash, PathBuf::from("/etc/bash_completion.d/lyncsh")),
        (Shell::Bash, PathBuf::from("/usr/local/share/bash-completion/completions/lyncsh")),
        (Shell::Bash, PathBuf::from("/usr/share/bash-completion/completions/lyncsh")),
        (Shell::Zsh, PathBuf::from("/usr/local/share/zsh/site-functions/_lyncsh")),
        (Shell::Zsh, PathBuf::from("/usr/share/zsh/site-functions/_lyncsh")),
        (Shell::Fish, PathBuf::from("/usr/share/fish/vendor_completions.d/lyncsh.fish")),
    ];
    let own = [
        (Shell::Bash, xdg("XDG_DATA_HOME", ".local/share"), "bash-completion/completions/lyncsh"),
        (Shell::Fish, configuration(), "fish/completions/lyncsh.fish"),
        (Shell::Zsh, home(), ".zfunc/_lyncsh"),
    ];
    files.extend(own.into_iter().filter_map(|(shell, folder, file)| Some((shell, folder?.join(file)))));
    files
}

/// Returns the files that a shell runs at its start.
fn startup_files() -> Vec<(Shell, PathBuf)> {
    let own = [
        (Shell::Bash, home(), ".bashrc"),
        (Shell::Zsh, home(), ".zshrc"),
        (Shell::Fish, configuration(), "fish/config.fish"),
    ];
    let own = own.into_iter().filter_map(|(shell, folder, file)| Some((shell, folder?.join(file))));
    let mut files: Vec<(Shell, PathBuf)> = own.collect();
    let scripts = startup::scripts().unwrap_or_default();
    files.extend(scripts.into_iter().map(|script| (Shell::PowerShell, script.path)));
    files
}
