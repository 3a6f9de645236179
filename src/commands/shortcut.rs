//! `lyncsh shortcut`: creates, removes and runs shortcuts that open a profile's shell.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use miette::{Context as _, IntoDiagnostic as _};

use super::connect::Context;
use super::shell;
use super::usage::usage;
use crate::cli::ShortcutOptions;
use crate::desktop::Templates;
use crate::desktop::shortcut::{Desktop, File, Shortcut};
use crate::desktop::terminal;
use crate::files::replace::{New, replace};
use crate::folders::NoHome;
use crate::profile;

/// Parameters of the shortcuts of all profiles.
struct Parameters<'a> {
    program: &'a Path,
    config: Option<PathBuf>,
    icons: PathBuf,
    templates: Templates,
}

impl<'a> Parameters<'a> {
    fn of(context: &'a Context) -> miette::Result<Self> {
        Ok(Self {
            program: &context.program,
            config: context.config_dir.as_deref().map(std::path::absolute).transpose().into_diagnostic()?,
            icons: context.folders.state.join("icons"),
            templates: Templates::of(&context.folders),
        })
    }

    fn shortcut<'b>(&'b self, name: &'b str) -> Shortcut<'b> {
        let Self { program, config, icons, templates } = self;
        Shortcut { name, program, config: config.as_deref(), icons, templates }
    }
}

/// Creates, removes or runs a shortcut.
pub async fn run(context: &Context, options: &ShortcutOptions) -> miette::Result<ExitCode> {
    let parameters = Parameters::of(context)?;
    let shortcut = parameters.shortcut(&options.name);
    if options.here {
        return here(context, &options.name).await;
    }
    if options.open {
        return open(&shortcut);
    }
    if options.remove {
        profile::check_name(&options.name, &[])?;
        remove(&shortcut, options)?;
    } else {
        profile::connections(&context.folders, &options.name)?;
        make(&shortcut, options)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes the shortcuts of a profile from all the usual places.
pub fn discard(context: &Context, name: &str) -> miette::Result<()> {
    take(&Parameters::of(context)?.shortcut(name), usual()).map(drop)
}

/// Replaces the shortcuts of a profile in all the usual places with shortcuts of its new name.
pub fn rename(context: &Context, old: &str, new: &str) -> miette::Result<()> {
    let (parameters, desktop) = (Parameters::of(context)?, Desktop::here());
    let has_old = |folder: &PathBuf| folder.join(desktop.file_name(old)).exists();
    let folders: Vec<PathBuf> = usual().into_iter().filter(has_old).collect();
    if !folders.is_empty() {
        write_all(&parameters.shortcut(new), &folders)?;
    }
    take(&parameters.shortcut(old), folders).map(drop)
}

/// Returns the standard folders of shortcuts.
fn usual() -> Vec<PathBuf> {
    ShortcutLocation::ALL.iter().filter_map(|place| place.folder().ok()).collect()
}

fn make(shortcut: &Shortcut, options: &ShortcutOptions) -> miette::Result<()> {
    write_all(shortcut, &folders(options)?)?;
    if Desktop::here() == Desktop::Freedesktop && terminal::found().next().is_none() {
        crate::errln!(
            "No terminal is on PATH for the shortcut to open: install one of {}.",
            terminal::names()
        );
    }
    Ok(())
}

/// Writes the shortcut into folders, with its icon.
fn write_all(shortcut: &Shortcut, folders: &[PathBuf]) -> miette::Result<()> {
    let desktop = Desktop::here();
    let mut files = Vec::new();
    for folder in folders {
        files.push(shortcut.file(desktop, folder)?);
    }
    for file in shortcut.icon(desktop)?.iter().chain(&files) {
        write(file).into_diagnostic().wrap_err_with(|| format!("cannot write {}", file.path.display()))?;
    }
    for file in &files {
        crate::outln!("{} opens the shell of '{}'.", file.path.display(), shortcut.name);
        trust(&file.path);
    }
    if let Some(path) = terminal_profile(shortcut.name) {
        let bytes = shortcut.terminal_profile()?.into_bytes();
        write(&File { path: path.clone(), bytes, executable: false })
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        crate::outln!("{} adds the shell to the list of Windows Terminal at its next start.", path.display());
    }
    Ok(())
}

fn remove(shortcut: &Shortcut, options: &ShortcutOptions) -> miette::Result<()> {
    let named = options.menu || options.autostart || options.output.is_some();
    let from = if named { folders(options)? } else { usual() };
    if !take(shortcut, from)? {
        crate::outln!("There is no shortcut for '{}'.", shortcut.name);
    }
    Ok(())
}

/// Removes the shortcut from folders, and its icon with the last one. Returns whether anything was removed.
fn take(shortcut: &Shortcut, from: Vec<PathBuf>) -> miette::Result<bool> {
    let desktop = Desktop::here();
    let mut any = false;
    for folder in from {
        any |= remove_and_report(&folder.join(desktop.file_name(shortcut.name)))?;
    }
    let left = usual().iter().any(|folder| folder.join(desktop.file_name(shortcut.name)).exists());
    if !left {
        any |= remove_and_report(&shortcut.icon_path(desktop))?;
        if let Some(path) = terminal_profile(shortcut.name) {
            any |= remove_and_report(&path)?;
        }
    }
    Ok(any)
}

/// Removes a file and reports it. Returns whether the file existed.
fn remove_and_report(path: &Path) -> miette::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => {
            crate::outln!("{} is removed.", path.display());
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(error).into_diagnostic().wrap_err_with(|| format!("cannot remove {}", path.display()))
        }
    }
}

/// Returns the folders for the command's options.
fn folders(options: &ShortcutOptions) -> miette::Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = options.output.iter().cloned().collect();
    if options.menu {
        folders.push(ShortcutLocation::Menu.folder()?);
    }
    if options.autostart {
        folders.push(ShortcutLocation::Autostart.folder()?);
    }
    if folders.is_empty() {
        folders.push(ShortcutLocation::Desk.folder()?);
    }
    Ok(folders)
}

/// Standard location of a shortcut.
#[derive(Clone, Copy, Debug)]
enum ShortcutLocation {
    Desk,
    Menu,
    Autostart,
}

impl ShortcutLocation {
    const ALL: [Self; 3] = [Self::Desk, Self::Menu, Self::Autostart];

    fn folder(self) -> miette::Result<PathBuf> {
        let base = directories::BaseDirs::new().ok_or(NoHome).into_diagnostic()?;
        match (self, Desktop::here()) {
            (Self::Desk, _) => {
                let user = directories::UserDirs::new();
                let desk = user.as_ref().and_then(|user| user.desktop_dir().map(Path::to_owned));
                // The folder may exist without xdg-user-dirs.
                let desk =
                    desk.or_else(|| Some(base.home_dir().join("Desktop")).filter(|path| path.is_dir()));
                desk.ok_or_else(|| {
                    usage!(
                        help = "pass --menu or --output DIR",
                        "cannot find the desktop folder of this user"
                    )
                })
            }
            (Self::Menu, Desktop::Freedesktop) => Ok(base.data_dir().join("applications")),
            (Self::Menu, Desktop::Windows) => Ok(base.data_dir().join(START_MENU)),
            (Self::Menu, Desktop::Mac) => Ok(base.home_dir().join("Applications")),
            (Self::Autostart, Desktop::Freedesktop) => Ok(base.config_dir().join("autostart")),
            (Self::Autostart, Desktop::Windows) => Ok(base.data_dir().join(START_MENU).join("Startup")),
            (Self::Autostart, Desktop::Mac) => Err(usage!(
                help = "create the shortcut without --autostart, and add it in System Settings, General, Login Items",
                "--autostart is not supported on macOS"
            )),
        }
    }
}

/// Start menu folder, relative to the roaming application data.
const START_MENU: &str = r"Microsoft\Windows\Start Menu\Programs";

/// Returns the path of the Windows Terminal profile fragment, if Windows Terminal is installed.
fn terminal_profile(name: &str) -> Option<PathBuf> {
    if Desktop::here() != Desktop::Windows || which::which("wt").is_err() {
        return None;
    }
    let base = directories::BaseDirs::new()?;
    let fragments = base.data_local_dir().join(r"Microsoft\Windows Terminal\Fragments\lyncsh");
    Some(fragments.join(format!("{name}.json")))
}

/// Writes a file atomically, and replaces an existing one.
fn write(file: &File) -> std::io::Result<()> {
    let folder = file.path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    replace(&file.path, &file.bytes, if file.executable { New::Program } else { New::Shared })
}

/// Marks a desktop entry as trusted, so that GNOME does not ask before it is launched. Does nothing without
/// `gio`.
fn trust(path: &Path) {
    if Desktop::here() == Desktop::Freedesktop
        && let Ok(gio) = which::which("gio")
    {
        let _ = Command::new(gio)
            .args(["set", "-t", "string"])
            .arg(path)
            .arg("metadata::trusted")
            .arg("true")
            .output();
    }
}

/// Starts the first available terminal and runs [`here`] in it.
fn open(shortcut: &Shortcut) -> miette::Result<ExitCode> {
    let mut failed = Vec::new();
    for terminal in terminal::found() {
        let mut command = Command::new(&terminal.program);
        command.args(terminal.arguments).args(shortcut.words("--here")?);
        match command.status() {
            // Some terminals exit with the shell's code.
            Ok(_) => return Ok(ExitCode::SUCCESS),
            Err(error) => failed.push(format!("{}: {error}", terminal.program.display())),
        }
    }
    let help = match failed.as_slice() {
        [] => format!("install one of {}", terminal::names()),
        failed => failed.join("\n"),
    };
    Err(miette::miette!(help = help, "cannot open a terminal for '{}'", shortcut.name))
}

/// Opens the shell in this terminal. After an error, waits for Enter so that the window shows the error.
async fn here(context: &Context, name: &str) -> miette::Result<ExitCode> {
    let opened = async {
        let connections = profile::connections(&context.folders, name)?;
        shell::run(context, connections, None, None, &[], &[]).await
    };
    let report = match opened.await {
        Ok(code) => return Ok(code),
        Err(report) => report,
    };
    crate::screen::print_report(&report);
    if std::io::stdin().is_terminal() {
        let _ = crate::screen::question("Press Enter to close this window. ");
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
    Ok(super::exit_code::exit_code(&report).into())
}
