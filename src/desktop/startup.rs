//! PowerShell's startup scripts on disk: where they are, and how one is changed without harm.

use std::io;
use std::path::{Path, PathBuf};

use super::block::{self, BlockError, Newline};
use crate::files::replace::{New, replace};
use crate::shell::pwsh::find::Edition;

/// What the file of the current user for all hosts is called (about_Profiles).
const FILE: &str = "profile.ps1";

/// Why a startup script is left as it is.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum StartupError {
    #[error("{path} is left as it is: {source}")]
    #[diagnostic(help("{}", help(source)))]
    Block { path: PathBuf, source: BlockError },
    #[error("{path} is read-only, and is left as it is")]
    #[diagnostic(help("make it writable, or script the lines of `lyncsh hook print` yourself"))]
    ReadOnly { path: PathBuf },
    #[error("{path} can't be {doing}: {source}")]
    #[diagnostic(help("script the lines of `lyncsh hook print` yourself, or take them away"))]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("no home directory is known for this user")]
    NoHome,
}

fn help(error: &BlockError) -> &'static str {
    match error {
        BlockError::Signed(_) => "script the lines of `lyncsh hook print` yourself, and sign it again",
        BlockError::Utf32 | BlockError::Torn => "save it as UTF-8 or UTF-16",
        BlockError::NotAscii => "script the lines of `lyncsh hook print` yourself",
        _ => "take what is left of the block away by hand, and try again",
    }
}

/// One startup script, and what reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupScript {
    /// What reads it.
    pub edition: Edition,
    pub path: PathBuf,
}

/// Where PowerShell has its startup scripts for this user, whether they are there or not.
///
/// # Errors
/// No home directory is known.
#[cfg(unix)]
pub fn scripts() -> Result<Vec<StartupScript>, StartupError> {
    // PowerShell follows the XDG base directories on macOS as well (`Platform.cs`).
    let configuration = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty());
    let configuration = match configuration {
        Some(folder) => PathBuf::from(folder),
        None => directories::BaseDirs::new().ok_or(StartupError::NoHome)?.home_dir().join(".config"),
    };
    Ok(vec![StartupScript { edition: Edition::Core, path: configuration.join("powershell").join(FILE) }])
}

/// Where PowerShell has its startup scripts for this user, whether they are there or not.
///
/// # Errors
/// No folder for documents is known.
#[cfg(windows)]
pub fn scripts() -> Result<Vec<StartupScript>, StartupError> {
    let user = directories::UserDirs::new().ok_or(StartupError::NoHome)?;
    // The known folder: a company or OneDrive may have moved it.
    let documents = user.document_dir().ok_or(StartupError::NoHome)?;
    Ok(vec![
        StartupScript { edition: Edition::Core, path: documents.join("PowerShell").join(FILE) },
        StartupScript { edition: Edition::Windows, path: documents.join("WindowsPowerShell").join(FILE) },
    ])
}

/// A change of one startup script, not made yet.
#[derive(Debug)]
pub struct Change {
    /// The file itself, where the place is a link to it.
    file: PathBuf,
    before: Option<Vec<u8>>,
    after: Vec<u8>,
}

impl Change {
    /// Whether anything changes at all.
    pub fn changes(&self) -> bool {
        self.before.as_ref() != Some(&self.after)
    }

    /// The file that is written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What the file has before.
    pub fn before(&self) -> Before {
        match self.before.as_deref().map(block::body) {
            None => Before::Nothing,
            Some(Ok(Some(_))) => Before::Block,
            Some(_) => Before::OtherLines,
        }
    }

    /// The block that the file has afterwards; nothing where it has none.
    pub fn block(&self) -> String {
        match block::body(&self.after) {
            Ok(Some(body)) => block::render(&body, Newline::Lf),
            _ => String::new(),
        }
    }

    /// Writes it: whole or not at all, with the permissions that the file had.
    ///
    /// # Errors
    /// It can't be written; it is as it was.
    pub fn write(self) -> Result<(), StartupError> {
        if !self.changes() {
            return Ok(());
        }
        self.replace().map_err(|source| StartupError::Io {
            path: self.file.clone(),
            doing: "written",
            source,
        })
    }

    fn replace(&self) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        // Somebody was asked meanwhile, and may have saved it in an editor.
        let now = match std::fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        if now != self.before {
            return Err(io::Error::other("it has changed meanwhile"));
        }
        replace(&self.file, &self.after, New::Shared)
    }
}

/// What a script has before it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It is not there.
    Nothing,
    OtherLines,
    /// A block, and maybe other lines.
    Block,
}

/// The comment by which a script that was made for the block is known.
const MADE: &str = "# This file was made for these lines, and goes with them.\n";

/// Puts the block into the script at a place, in memory.
///
/// # Errors
/// The script can't be read, or can't be changed without guessing.
pub fn install(script: &Path, body: &str) -> Result<Change, StartupError> {
    let (file, before) = read(script)?;
    let of = |source| StartupError::Block { path: file.clone(), source };
    let made = match &before {
        None => true,
        Some(before) => block::body(before).map_err(of)?.is_some_and(|body| body.starts_with(MADE)),
    };
    let body = if made { MADE.to_owned() + body } else { body.to_owned() };
    let newline = if cfg!(windows) { Newline::CrLf } else { Newline::Lf };
    let after = block::install(before.as_deref().unwrap_or_default(), &body, newline).map_err(of)?;
    check_writable(Change { file, before, after })
}

/// Takes the block out of the script at a place, in memory; `None` where there is none.
///
/// # Errors
/// The script can't be read, or can't be changed without guessing.
pub fn remove(script: &Path) -> Result<Option<Removal>, StartupError> {
    let (file, Some(before)) = read(script)? else { return Ok(None) };
    let of = |source| StartupError::Block { path: file.clone(), source };
    let made = block::body(&before).map_err(of)?.is_some_and(|body| body.starts_with(MADE));
    let Some(after) = block::remove(&before).map_err(of)? else { return Ok(None) };
    let whole = made && block::is_empty(&after);
    let change = check_writable(Change { file, before: Some(before), after })?;
    Ok(Some(if whole { Removal::File(change.file) } else { Removal::Lines(change) }))
}

/// How a block goes.
#[derive(Debug)]
pub enum Removal {
    /// The rest of the script stays.
    Lines(Change),
    /// The script was made for the block, and nothing else is in it.
    File(PathBuf),
}

impl Removal {
    /// The file that is changed.
    pub fn file(&self) -> &Path {
        match self {
            Self::Lines(change) => change.file(),
            Self::File(file) => file,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// It can't be written; it is as it was.
    pub fn write(self) -> Result<(), StartupError> {
        match self {
            Self::Lines(change) => change.write(),
            Self::File(path) => {
                let failed = |source| StartupError::Io { path: path.clone(), doing: "removed", source };
                std::fs::remove_file(&path).map_err(failed)?;
                // PowerShell's folder goes as well where nothing else is in it.
                let _ = path.parent().map(std::fs::remove_dir);
                Ok(())
            }
        }
    }
}

/// The file behind a place, and its bytes. A link that leads nowhere is read as such.
fn read(script: &Path) -> Result<(PathBuf, Option<Vec<u8>>), StartupError> {
    let failed = |source| StartupError::Io { path: script.to_owned(), doing: "read", source };
    let file = match std::fs::canonicalize(script) {
        Ok(_) if !script.is_symlink() => script.to_owned(),
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !script.is_symlink() => {
            return Ok((script.to_owned(), None));
        }
        Err(error) => return Err(failed(error)),
    };
    let bytes = std::fs::read(&file).map_err(failed)?;
    Ok((file, Some(bytes)))
}

fn check_writable(change: Change) -> Result<Change, StartupError> {
    let read_only = std::fs::metadata(&change.file).is_ok_and(|there| there.permissions().readonly());
    if read_only && change.changes() {
        return Err(StartupError::ReadOnly { path: change.file });
    }
    Ok(change)
}
