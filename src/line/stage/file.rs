//! Out-File, `>` and `>>`: lines in a file, UTF-8 without a byte order mark as in PowerShell 7.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::each::Stage;
use super::path::located;
use crate::files::replace::{self, Content, New};
use crate::files::text;
use crate::line::error::LineError;
use crate::line::printer::Printer;
use crate::line::views::Views;
use crate::psrp::clixml::Value;

/// Parameters that Export-Csv and Out-File share.
pub const COMMON: [Parameter; 4] = [
    ("Append", ParameterKind::Switch),
    ("Force", ParameterKind::Switch),
    ("NoClobber", ParameterKind::Switch),
    ("Encoding", ParameterKind::Named),
];

/// Maximum length of a CSV header line.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf8Mark,
    Ascii,
    /// Windows-1252.
    Ansi,
    /// ISO-8859-1.
    Latin1,
    Utf16,
    Utf16BigEndian,
}

/// Values of -Encoding.
pub const ENCODINGS: [(&str, Encoding); 9] = [
    ("ansi", Encoding::Ansi),
    ("ascii", Encoding::Ascii),
    ("bigendianunicode", Encoding::Utf16BigEndian),
    ("default", Encoding::Utf8),
    ("latin1", Encoding::Latin1),
    ("unicode", Encoding::Utf16),
    ("utf8", Encoding::Utf8),
    ("utf8BOM", Encoding::Utf8Mark),
    ("utf8NoBOM", Encoding::Utf8),
];

/// Names of [`ENCODINGS`].
pub const ENCODING_NAMES: &[&str] = &{
    let mut names = [""; ENCODINGS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ENCODINGS[at].0;
        at += 1;
    }
    names
};

/// An output file.
#[derive(Clone, Debug)]
pub struct File {
    cmdlet: &'static str,
    pub path: PathBuf,
    pub append: bool,
    no_clobber: bool,
    force: bool,
    encoding: Encoding,
    line_ends: bool,
}

impl File {
    /// Returns the file of a redirection.
    pub fn redirected(path: &str, append: bool) -> Self {
        Self {
            cmdlet: "Out-File",
            path: located(path),
            append,
            no_clobber: false,
            force: false,
            encoding: Encoding::Utf8,
            line_ends: true,
        }
    }

    /// Returns the file that a cmdlet's arguments name.
    pub fn read(bound: &BoundParameters, parameter: &str) -> Result<Self, LineError> {
        let path =
            bound.text(parameter).or_else(|| bound.text("LiteralPath")).filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| bound.wrong(&format!("-{parameter} is missing: name the file.")))?;
        Ok(Self {
            cmdlet: bound.name,
            path: located(&path),
            append: bound.switch("Append"),
            no_clobber: bound.switch("NoClobber"),
            force: bound.switch("Force"),
            encoding: bound.one_of("Encoding", &ENCODINGS, Encoding::Utf8)?,
            line_ends: !bound.switch("NoNewline"),
        })
    }

    /// Checks that the file can be written, without changing it.
    ///
    /// # Errors
    /// The file exists and may not be overwritten, or cannot be written.
    pub fn ready(&self) -> Result<(), LineError> {
        if self.no_clobber && !self.append && self.path.symlink_metadata().is_ok() {
            return Err(self.wrong(&ErrorKind::AlreadyExists.into()));
        }
        match replace::check(&self.path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied && self.force => Ok(()),
            Err(error) => Err(self.wrong(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// Reads the first line of an existing non-empty file, and uses the file's encoding for appending.
    pub fn first_line(&mut self) -> Option<String> {
        let mut head = Vec::new();
        std::fs::File::open(&self.path).ok()?.take(LONGEST_LINE).read_to_end(&mut head).ok()?;
        let end = match head.get(..2) {
            Some([0xff, 0xfe]) => {
                self.encoding = Encoding::Utf16;
                head.chunks_exact(2).position(|unit| unit == [b'\n', 0]).map(|at| at * 2)
            }
            Some([0xfe, 0xff]) => {
                self.encoding = Encoding::Utf16BigEndian;
                head.chunks_exact(2).position(|unit| unit == [0, b'\n']).map(|at| at * 2)
            }
            _ => head.iter().position(|byte| *byte == b'\n'),
        };
        let line = text::decode(&head[..end.unwrap_or(head.len())]).ok()?;
        let line = line.trim_end_matches(['\r', '\n']);
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// Writes lines. A file is replaced as a whole; devices, pipes and appended files are written in place.
    /// Errors name the file.
    pub fn write(&self, lines: &[String]) -> Result<(), LineError> {
        let mut content = Spooled::default();
        content.add(self, lines)?;
        self.save(content)
    }

    /// Writes spooled lines, as [`File::write`] does.
    fn save(&self, content: Spooled) -> Result<(), LineError> {
        let Spooled { mut spool, .. } = content;
        let opened = self.force.then(|| Opened::new(&self.path)).flatten();
        let written = match (self.append, self.no_clobber) {
            (true, _) => self.append(&mut spool),
            (false, true) => replace::create_new_with(&self.path, &mut spool, New::Shared),
            (false, false) => replace::replace_with(&self.path, &mut spool, New::Shared),
        };
        drop(opened);
        written.map_err(|error| self.wrong(&error))
    }

    fn append(&self, content: &mut dyn Content) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(self.encoding.mark())?;
        }
        content.copy_to(&mut file)?;
        file.flush()
    }

    /// Returns an error in PowerShell's wording.
    fn wrong(&self, error: &io::Error) -> LineError {
        let path = self.path.display();
        LineError(match error.kind() {
            ErrorKind::AlreadyExists => format!("{}: The file '{path}' already exists.", self.cmdlet),
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                format!("{}: Could not find a part of the path '{path}'.", self.cmdlet)
            }
            ErrorKind::PermissionDenied | ErrorKind::IsADirectory | ErrorKind::ReadOnlyFilesystem => {
                format!("{}: Access to the path '{path}' is denied.", self.cmdlet)
            }
            _ => format!("{}: Could not write to '{path}': {error}", self.cmdlet),
        })
    }
}

impl Encoding {
    /// Returns the byte order mark of a new file.
    fn mark(self) -> &'static [u8] {
        match self {
            Self::Utf8Mark => b"\xef\xbb\xbf",
            Self::Utf16 => b"\xff\xfe",
            Self::Utf16BigEndian => b"\xfe\xff",
            Self::Utf8 | Self::Ascii | Self::Ansi | Self::Latin1 => b"",
        }
    }

    /// Encodes a text without a byte order mark.
    fn bytes(self, text: String) -> Vec<u8> {
        let narrow = |limit: u32| {
            text.chars().map(move |one| {
                u8::try_from(u32::from(one)).ok().filter(|_| u32::from(one) < limit).unwrap_or(b'?')
            })
        };
        match self {
            Self::Utf8 | Self::Utf8Mark => text.into_bytes(),
            Self::Ascii => narrow(0x80).collect(),
            Self::Ansi => text.chars().map(ansi).collect(),
            Self::Latin1 => narrow(0x100).collect(),
            Self::Utf16 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16BigEndian => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

/// Encodes a character in Windows-1252, or as a question mark.
fn ansi(one: char) -> u8 {
    let mut utf8 = [0; 4];
    let (bytes, _, is_unknown) = encoding_rs::WINDOWS_1252.encode(one.encode_utf8(&mut utf8));
    bytes.first().copied().filter(|_| !is_unknown).unwrap_or(b'?')
}

/// A read-only file made writable for -Force; read-only again when dropped.
struct Opened<'a> {
    path: &'a Path,
    before: std::fs::Permissions,
}

impl<'a> Opened<'a> {
    /// Makes the file writable. A failure is reported by the write.
    fn new(path: &'a Path) -> Option<Self> {
        let before = std::fs::metadata(path).ok()?.permissions();
        let mut permissions = before.clone();
        if !permissions.readonly() {
            return None;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            permissions.set_mode(permissions.mode() | 0o200);
        }
        #[cfg(not(unix))]
        #[expect(clippy::permissions_set_readonly_false, reason = "it only clears the read-only attribute")]
        permissions.set_readonly(false);
        std::fs::set_permissions(path, permissions).ok()?;
        Some(Self { path, before })
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let _ = std::fs::set_permissions(self.path, self.before.clone());
    }
}

pub fn out_file(bound: &BoundParameters, width: usize, views: &Views) -> Result<Box<dyn Stage>, LineError> {
    let file = File::read(bound, "FilePath")?;
    let width = bound.count("Width")?.unwrap_or(width);
    Ok(drawn(file, width, views.clone()))
}

/// Encoded lines, in a temporary file if they are many.
struct Spooled {
    spool: SpooledTempFile,
    is_begun: bool,
}

/// Maximum size of the content that is kept in memory.
const IN_MEMORY: usize = 1024 * 1024;

impl Default for Spooled {
    fn default() -> Self {
        Self { spool: SpooledTempFile::new(IN_MEMORY), is_begun: false }
    }
}

impl Spooled {
    fn add(&mut self, file: &File, lines: &[String]) -> Result<(), LineError> {
        let end = match (file.line_ends, cfg!(windows)) {
            (false, _) => "",
            (true, true) => "\r\n",
            (true, false) => "\n",
        };
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let mark: &[u8] = if is_first && !file.append { file.encoding.mark() } else { b"" };
        let text: String = lines.iter().flat_map(|line| [line.as_str(), end]).collect();
        let bytes = file.encoding.bytes(text);
        let written = self.spool.write_all(mark).and_then(|()| self.spool.write_all(&bytes));
        written.map_err(|error| file.wrong(&error))
    }
}

/// Converts objects to the lines of a file.
pub trait Lines: Send {
    /// Returns the lines for the next object.
    fn push(&mut self, file: &mut File, value: &Value) -> Result<Vec<String>, LineError>;

    /// Returns the lines after the last object.
    fn finish(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Returns whether a text of several lines may arrive line by line.
    fn takes_lines(&self) -> bool {
        false
    }
}

/// Lines as drawn on the screen.
struct Drawn(Printer);

impl Lines for Drawn {
    fn push(&mut self, _: &mut File, value: &Value) -> Result<Vec<String>, LineError> {
        Ok(self.0.push(value))
    }

    fn finish(&mut self) -> Vec<String> {
        self.0.finish()
    }

    fn takes_lines(&self) -> bool {
        true
    }
}

/// Returns a stage that writes objects to a file as drawn on the screen.
pub fn drawn(file: File, width: usize, views: Views) -> Box<dyn Stage> {
    written(file, Drawn(Printer::new(width, views)))
}

/// Returns a stage that writes the lines of all objects to a file. A pipeline that fails before the first
/// object leaves the file unchanged.
pub fn written(file: File, lines: impl Lines + 'static) -> Box<dyn Stage> {
    Box::new(Written { file, content: Spooled::default(), failed: None, lines })
}

struct Written<L> {
    file: File,
    content: Spooled,
    /// Set if the pipeline failed: whether objects had arrived before.
    failed: Option<bool>,
    lines: L,
}

impl<L: Lines> Stage for Written<L> {
    fn begin(&self) -> Result<(), LineError> {
        self.file.ready()
    }

    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), LineError> {
        let lines = self.lines.push(&mut self.file, &value)?;
        self.content.add(&self.file, &lines)
    }

    fn fail(&mut self, fed: bool) {
        self.failed = Some(fed);
    }

    fn finish(&mut self, _: &mut Vec<Value>) -> Result<(), LineError> {
        let mut content = std::mem::take(&mut self.content);
        // Some stages produce output without input, such as Measure-Object.
        if self.failed.is_some_and(|fed| !fed || !content.is_begun) {
            return Ok(());
        }
        content.add(&self.file, &self.lines.finish())?;
        self.file.save(content)
    }

    fn takes_lines(&self) -> bool {
        self.lines.takes_lines() && self.file.line_ends
    }
}
