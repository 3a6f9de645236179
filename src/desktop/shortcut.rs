//! Files of a profile's shortcut for each kind of desktop. The files are created in memory, in the same way on every
//! system.

use std::path::{Path, PathBuf};

use minijinja::context;

use super::Templates;
use super::icon::{self, Colour};
use super::shell_link::ShellLink;
use crate::quote::desktop as quote;

/// Parameters of a shortcut.
#[derive(Clone, Debug)]
pub struct Shortcut<'a> {
    /// Name of the profile.
    pub name: &'a str,
    /// Path of lyncsh.
    pub program: &'a Path,
    /// Configuration folder, if it is not the default.
    pub config: Option<&'a Path>,
    /// Folder of the icons.
    pub icons: &'a Path,
    pub templates: &'a Templates,
}

/// Supported desktops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desktop {
    /// Desktops that follow freedesktop.org.
    Freedesktop,
    Windows,
    Mac,
}

impl Desktop {
    /// Returns the desktop of this system.
    pub const fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Mac
        } else {
            Self::Freedesktop
        }
    }

    /// Returns the file name of a profile's shortcut.
    pub fn file_name(self, name: &str) -> String {
        match self {
            Self::Freedesktop => format!("lyncsh-{name}.desktop"),
            Self::Windows => format!("lyncsh {name}.lnk"),
            Self::Mac => format!("lyncsh {name}.command"),
        }
    }
}

/// Error of creating a shortcut.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ShortcutError {
    /// A shortcut is a text file, and a file name of the system may have any bytes.
    #[error("cannot write the path {0} into a shortcut: it is not Unicode")]
    #[diagnostic(help("use a path of Unicode characters for lyncsh and its configuration folder"))]
    NotUnicode(PathBuf),
    /// The Desktop Entry Specification does not allow an equals sign in the program of `Exec`.
    #[error("cannot write the program {0} into a desktop entry: the path has an equals sign")]
    #[diagnostic(help("install lyncsh in another folder"))]
    Equals(PathBuf),
    /// A path without a drive letter (UNC) of 260 or more UTF-16 units.
    #[error(
        "cannot write the program {0} into a shortcut: the path has no drive letter and more than 259 characters"
    )]
    #[diagnostic(help("install lyncsh in another folder"))]
    TooLong(PathBuf),
    /// A custom template of a shortcut is invalid.
    #[error("cannot render a template: {0}")]
    #[diagnostic(help("correct or remove the custom templates in `templates` of the configuration folder"))]
    Template(#[from] minijinja::Error),
    /// The ICO file of the Windows shortcut could not be encoded.
    #[error("cannot draw the icon: {0}")]
    #[diagnostic(help("report this as a defect of lyncsh"))]
    Icon(std::io::Error),
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Whether the file gets the permission to execute.
    pub executable: bool,
}

impl Shortcut<'_> {
    /// Returns the file of the shortcut in a folder.
    ///
    /// # Errors
    /// A path cannot be written into a shortcut.
    pub fn file(&self, desktop: Desktop, folder: &Path) -> Result<File, ShortcutError> {
        let bytes = match desktop {
            Desktop::Freedesktop => self.entry()?.into_bytes(),
            Desktop::Windows => {
                self.link()?.write().ok_or_else(|| ShortcutError::TooLong(self.program.to_owned()))?
            }
            Desktop::Mac => self.command()?.into_bytes(),
        };
        let path = folder.join(desktop.file_name(self.name));
        Ok(File { path, bytes, executable: desktop != Desktop::Windows })
    }

    /// Returns the file of the icon, if the shortcut has one.
    ///
    /// # Errors
    /// The icon cannot be drawn.
    pub fn icon(&self, desktop: Desktop) -> Result<Option<File>, ShortcutError> {
        let bytes = match desktop {
            Desktop::Freedesktop => icon::svg(self.templates, self.name)?.into_bytes(),
            Desktop::Windows => icon::ico(self.name).map_err(ShortcutError::Icon)?,
            // A .command file always has the icon of Terminal.
            Desktop::Mac => return Ok(None),
        };
        Ok(Some(File { path: self.icon_path(desktop), bytes, executable: false }))
    }

    /// Returns a JSON fragment with a profile for Windows Terminal, which reads it when it starts.
    ///
    /// # Errors
    /// A path is not Unicode.
    pub fn terminal_profile(&self) -> Result<String, ShortcutError> {
        let fragment = serde_json::json!({ "profiles": [{
            "name": self.title(),
            "commandline": quote::windows(&self.words("--here")?),
            "icon": text(&self.icon_path(Desktop::Windows))?,
            "tabColor": Colour::of(self.name).to_string(),
        }]});
        Ok(format!("{fragment:#}\n"))
    }

    /// Returns the path of the icon.
    pub fn icon_path(&self, desktop: Desktop) -> PathBuf {
        let end = if desktop == Desktop::Windows { "ico" } else { "svg" };
        self.icons.join(format!("{}.{end}", self.name))
    }

    fn title(&self) -> String {
        format!("lyncsh {}", self.name)
    }

    fn comment(&self) -> String {
        format!("Opens the shell of the lyncsh profile '{}'", self.name)
    }

    /// Returns the command line that opens the shell in the current terminal (`--here`) or in a new one.
    ///
    /// # Errors
    /// A path is not Unicode.
    pub fn words(&self, how: &str) -> Result<Vec<String>, ShortcutError> {
        let mut words = vec![text(self.program)?];
        if let Some(config) = self.config {
            words.extend(["--config-dir".to_owned(), text(config)?]);
        }
        words.extend(["shortcut", self.name, how].map(str::to_owned));
        Ok(words)
    }

    fn entry(&self) -> Result<String, ShortcutError> {
        if self.program.to_string_lossy().contains('=') {
            return Err(ShortcutError::Equals(self.program.to_owned()));
        }
        let values = context! {
            title => quote::entry_value(&self.title()),
            comment => quote::entry_value(&self.comment()),
            exec => quote::exec(&self.words("--open")?),
            icon => quote::entry_value(&text(&self.icon_path(Desktop::Freedesktop))?),
        };
        Ok(self.templates.render("shortcut.desktop", values)?)
    }

    fn command(&self) -> Result<String, ShortcutError> {
        let values = context! { comment => self.comment(), command => quote::posix(&self.words("--here")?) };
        Ok(self.templates.render("shortcut.command", values)?)
    }

    fn link(&self) -> Result<ShellLink, ShortcutError> {
        let words = self.words("--here")?;
        Ok(ShellLink {
            target: words[0].clone(),
            arguments: quote::windows(&words[1..]),
            folder: "%USERPROFILE%".to_owned(),
            description: self.comment(),
            icon: text(&self.icon_path(Desktop::Windows))?,
        })
    }
}

fn text(path: &Path) -> Result<String, ShortcutError> {
    path.to_str().map(str::to_owned).ok_or_else(|| ShortcutError::NotUnicode(path.to_owned()))
}
