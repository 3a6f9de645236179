//! A profile's shortcut: what is written for each kind of desktop, and where. The files are made in
//! memory, and the same on every system.

use std::path::{Path, PathBuf};

use minijinja::context;

use super::Templates;
use super::icon::{self, Colour};
use super::shell_link::ShellLink;
use crate::quote::desktop as quote;

/// What a shortcut opens.
#[derive(Clone, Debug)]
pub struct Shortcut<'a> {
    /// The profile.
    pub name: &'a str,
    /// lyncsh itself.
    pub program: &'a Path,
    /// The configuration's folder, where it isn't the usual one.
    pub config: Option<&'a Path>,
    /// Where the icons are; they are written with the shortcut.
    pub icons: &'a Path,
    pub templates: &'a Templates,
}

/// The desktops that shortcuts are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desktop {
    /// Whatever follows freedesktop.org.
    Free,
    Windows,
    Mac,
}

impl Desktop {
    /// This system's.
    pub const fn here() -> Self {
        match () {
            () if cfg!(windows) => Self::Windows,
            () if cfg!(target_os = "macos") => Self::Mac,
            () => Self::Free,
        }
    }

    /// The name of a profile's shortcut.
    pub fn file_name(self, name: &str) -> String {
        match self {
            Self::Free => format!("lyncsh-{name}.desktop"),
            Self::Windows => format!("lyncsh {name}.lnk"),
            Self::Mac => format!("lyncsh {name}.command"),
        }
    }
}

/// Why a shortcut can't be made.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ShortcutError {
    #[error("{0} is not Unicode, and can't stand in a shortcut")]
    NotUnicode(PathBuf),
    #[error("{0} has an equals sign in it, and can't be a desktop entry's program")]
    #[diagnostic(help("install lyncsh in another folder"))]
    Equals(PathBuf),
    #[error("a template can't be rendered: {0}")]
    Template(#[from] minijinja::Error),
    #[error("the icon can't be drawn: {0}")]
    Icon(std::io::Error),
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Whether it is started by itself.
    pub executable: bool,
}

impl Shortcut<'_> {
    /// The shortcut, to be written into a folder.
    ///
    /// # Errors
    /// A path is not one that a shortcut can hold.
    pub fn file(&self, desktop: Desktop, folder: &Path) -> Result<File, ShortcutError> {
        let bytes = match desktop {
            Desktop::Free => self.entry()?.into_bytes(),
            Desktop::Windows => self.link()?.write(),
            Desktop::Mac => self.command()?.into_bytes(),
        };
        let path = folder.join(desktop.file_name(self.name));
        Ok(File { path, bytes, executable: desktop != Desktop::Windows })
    }

    /// The icon that the shortcut shows.
    ///
    /// # Errors
    /// It can't be drawn.
    pub fn icon(&self, desktop: Desktop) -> Result<Option<File>, ShortcutError> {
        let bytes = match desktop {
            Desktop::Free => icon::svg(self.templates, self.name)?.into_bytes(),
            Desktop::Windows => icon::ico(self.name).map_err(ShortcutError::Icon)?,
            // Terminal's own icon is the only one that a .command has.
            Desktop::Mac => return Ok(None),
        };
        Ok(Some(File { path: self.icon_path(desktop), bytes, executable: false }))
    }

    /// A profile for Windows Terminal, as a fragment that it reads at its start.
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

    /// Where its icon is, on a desktop that shows one.
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

    /// The command line that opens the shell in the terminal that is there (`--here`), or in a new one.
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
            icon => quote::entry_value(&text(&self.icon_path(Desktop::Free))?),
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
