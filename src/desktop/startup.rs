//! PowerShell's startup scripts: their paths and safe changes.

use std::io;
use std::path::{Path, PathBuf};

use super::block::{self, BlockError, Newline};
use crate::files::replace::{New, replace};
#[cfg(unix)]
use crate::folders::xdg;
use crate::shell::pwsh::find::Edition;

/// File name of the startup script of the current user for all hosts (about_Profiles).
const FILE: &str = "profile.ps1";

/// Error of changing a startup script.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum StartupError {
    /// The block in the script cannot be changed safely: see `BlockError`.
    #[error("{path} was not modified: {source}")]
    #[diagnostic(help("{}", help(source)))]
    Block { path: PathBuf, source: BlockError },
    /// The script has no write permission, or its attribute for read-only files is set.
    #[error("{path} was not modified: it is read-only")]
    #[diagnostic(help("make the file writable, or add the output of `lyncsh hook print` manually"))]
    ReadOnly { path: PathBuf },
    /// The system refused to read, write or remove the script, or another program changed it meanwhile.
    #[error("cannot {doing} {path}: {source}")]
    #[diagnostic(help("add the output of `lyncsh hook print` manually, or remove it manually"))]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    /// The system reports no home directory, or on Windows no documents folder.
    #[error("cannot find the home directory of this user")]
    #[diagnostic(help("add the output of `lyncsh hook print` manually"))]
    NoHome,
}

fn help(error: &BlockError) -> &'static str {
    match error {
        BlockError::Signed(_) => "add the output of `lyncsh hook print` manually, and sign the script again",
        BlockError::Utf32 | BlockError::IncompleteUtf16 => "save the script as UTF-8 or UTF-16",
        BlockError::NotAscii => "add the output of `lyncsh hook print` manually",
        _ => "remove the rest of the block manually, and try again",
    }
}

/// A startup script of an edition of PowerShell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupScript {
    /// The edition that reads the script.
    pub edition: Edition,
    pub path: PathBuf,
}

/// Returns PowerShell's startup scripts of this user, whether they exist or not.
///
/// # Errors
/// The home directory is not known.
#[cfg(unix)]
pub fn scripts() -> Result<Vec<StartupScript>, StartupError> {
    let configuration = xdg("XDG_CONFIG_HOME", ".config").ok_or(StartupError::NoHome)?;
    Ok(vec![StartupScript { edition: Edition::Core, path: configuration.join("powershell").join(FILE) }])
}

/// Returns PowerShell's startup scripts of this user, whether they exist or not.
///
/// # Errors
/// The documents folder is not known.
#[cfg(windows)]
pub fn scripts() -> Result<Vec<StartupScript>, StartupError> {
    let user = directories::UserDirs::new().ok_or(StartupError::NoHome)?;
    // The known folder, because a company or OneDrive may have moved it.
    let documents = user.document_dir().ok_or(StartupError::NoHome)?;
    Ok(vec![
        StartupScript { edition: Edition::Core, path: documents.join("PowerShell").join(FILE) },
        StartupScript { edition: Edition::Windows, path: documents.join("WindowsPowerShell").join(FILE) },
    ])
}

/// A pending change of a startup script.
#[derive(Debug)]
pub struct Change {
    /// The target, if the path is a symbolic link.
    file: PathBuf,
    before: Option<Vec<u8>>,
    after: Vec<u8>,
}

impl Change {
    /// Returns whether the file changes.
    pub fn changes(&self) -> bool {
        self.before.as_ref() != Some(&self.after)
    }

    /// Returns the path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the kind of the file's current content.
    pub fn before(&self) -> Before {
        match self.before.as_deref().map(block::body) {
            None => Before::Nothing,
            Some(Ok(Some(_))) => Before::Block,
            Some(_) => Before::OtherLines,
        }
    }

    /// Returns the new block of the file, or an empty text.
    pub fn block(&self) -> String {
        match block::body(&self.after) {
            Ok(Some(body)) => block::render(&body, Newline::Lf),
            _ => String::new(),
        }
    }

    /// Writes the file atomically, with its current permissions.
    ///
    /// # Errors
    /// The file cannot be written; it was not changed.
    pub fn write(self) -> Result<(), StartupError> {
        if !self.changes() {
            return Ok(());
        }
        self.replace().map_err(|source| StartupError::Io { path: self.file.clone(), doing: "write", source })
    }

    fn replace(&self) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        self.check_unchanged()?;
        replace(&self.file, &self.after, New::Shared)
    }

    /// Deletes the file, and PowerShell's folder if it is empty then.
    fn delete(&self) -> io::Result<()> {
        self.check_unchanged()?;
        std::fs::remove_file(&self.file)?;
        let _ = self.file.parent().map(std::fs::remove_dir);
        Ok(())
    }

    /// Checks that the user has not saved the file in an editor since it was read.
    fn check_unchanged(&self) -> io::Result<()> {
        let now = match std::fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        if now == self.before { Ok(()) } else { Err(io::Error::other("the file has changed meanwhile")) }
    }
}

/// Content of a script before the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The script does not exist.
    Nothing,
    OtherLines,
    /// A block, and possibly other lines.
    Block,
}

/// Comment that marks a script that lyncsh created for the block.
const MADE: &str = "# lyncsh created this file, and removes it together with these lines.\n";

/// Prepares the insertion of the block into a script.
///
/// # Errors
/// The script cannot be read, or cannot be changed safely.
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

/// Prepares the removal of the block from a script. Returns `None` if there is no block.
///
/// # Errors
/// The script cannot be read, or cannot be changed safely.
pub fn remove(script: &Path) -> Result<Option<Removal>, StartupError> {
    let (file, Some(before)) = read(script)? else { return Ok(None) };
    let of = |source| StartupError::Block { path: file.clone(), source };
    let made = block::body(&before).map_err(of)?.is_some_and(|body| body.starts_with(MADE));
    let Some(after) = block::remove(&before).map_err(of)? else { return Ok(None) };
    // The target of a link is emptied, not removed: the next installation would fail on a dangling link.
    let whole = made && block::is_empty(&after) && !script.is_symlink();
    let change = check_writable(Change { file, before: Some(before), after })?;
    Ok(Some(if whole { Removal::File(change) } else { Removal::Lines(change) }))
}

/// Returns whether a script has the block.
///
/// # Errors
/// The script cannot be read, or its block is damaged.
pub fn has_block(script: &Path) -> Result<bool, StartupError> {
    let (file, Some(bytes)) = read(script)? else { return Ok(false) };
    let body = block::body(&bytes).map_err(|source| StartupError::Block { path: file, source })?;
    Ok(body.is_some())
}

/// A pending removal of a block.
#[derive(Debug)]
pub enum Removal {
    /// The rest of the script stays.
    Lines(Change),
    /// The script was created for the block, and has no other lines.
    File(Change),
}

impl Removal {
    /// Returns the path of the file.
    pub fn file(&self) -> &Path {
        let (Self::Lines(change) | Self::File(change)) = self;
        change.file()
    }

    /// Performs the removal.
    ///
    /// # Errors
    /// The file cannot be written, or has changed; it was not changed.
    pub fn write(self) -> Result<(), StartupError> {
        match self {
            Self::Lines(change) => change.write(),
            Self::File(change) => change.delete().map_err(|source| StartupError::Io {
                path: change.file.clone(),
                doing: "remove",
                source,
            }),
        }
    }
}

/// Reads a script. Returns the target of a link, and its bytes. A dangling link is an error.
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
    let read_only = std::fs::metadata(&change.file).is_ok_and(|metadata| metadata.permissions().readonly());
    if read_only && change.changes() {
        return Err(StartupError::ReadOnly { path: change.file });
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a script that has only lyncsh's block.
    fn made(script: &Path) {
        install(script, "Import-Module lyncsh\n").unwrap().write().unwrap();
    }

    #[test]
    fn a_script_that_changed_before_its_removal_is_kept() {
        let temp = tempfile::tempdir().unwrap();
        let script = temp.path().join("powershell").join(FILE);
        made(&script);
        let removal = remove(&script).unwrap().unwrap();
        let text = std::fs::read_to_string(&script).unwrap() + "Set-Location /\n";
        std::fs::write(&script, &text).unwrap();
        let error = removal.write().unwrap_err().to_string();
        assert!(error.starts_with("cannot remove ") && error.ends_with(": the file has changed meanwhile"));
        assert_eq!(std::fs::read_to_string(&script).unwrap(), text);
        remove(&script).unwrap().unwrap().write().unwrap();
        assert_eq!(std::fs::read_to_string(&script).unwrap(), "Set-Location /\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_script_keeps_its_target() {
        let temp = tempfile::tempdir().unwrap();
        let (script, target) = (temp.path().join(FILE), temp.path().join("dotfiles.ps1"));
        made(&target);
        std::os::unix::fs::symlink(&target, &script).unwrap();
        remove(&script).unwrap().unwrap().write().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"");
        made(&script);
        assert!(script.is_symlink() && has_block(&target).unwrap());
        remove(&target).unwrap().unwrap().write().unwrap();
    }
}
