//! Out-File, `>` and `>>`: lines in a file, UTF-8 without a byte order mark as in PowerShell 7.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::bind::{Bound, Parameter, Takes};
use super::each::Stage;
use super::path::located;
use crate::files::replace::{self, New};
use crate::files::text;
use crate::line::error::LineError;
use crate::line::printer::Printer;
use crate::line::views::Views;
use crate::psrp::clixml::Value;

/// Parameters of every cmdlet that writes a file.
pub const COMMON: [Parameter; 4] = [
    ("Append", Takes::Switch),
    ("Force", Takes::Switch),
    ("NoClobber", Takes::Switch),
    ("Encoding", Takes::Named),
];

/// Maximum length of a CSV header line.
const LONGEST_LINE: u64 = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf8Mark,
    Ascii,
    Latin1,
    Utf16,
    Utf16BigEndian,
}

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
    pub fn read(bound: &Bound, parameter: &str) -> Result<Self, LineError> {
        let path =
            bound.text(parameter).or_else(|| bound.text("LiteralPath")).filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| bound.wrong(&format!("-{parameter} is missing: name the file.")))?;
        let encodings = [
            ("utf8", Encoding::Utf8),
            ("utf8NoBOM", Encoding::Utf8),
            ("utf8BOM", Encoding::Utf8Mark),
            ("ascii", Encoding::Ascii),
            ("latin1", Encoding::Latin1),
            ("unicode", Encoding::Utf16),
            ("bigendianunicode", Encoding::Utf16BigEndian),
        ];
        Ok(Self {
            cmdlet: bound.name,
            path: located(&path),
            append: bound.switch("Append"),
            no_clobber: bound.switch("NoClobber"),
            force: bound.switch("Force"),
            encoding: bound.one_of("Encoding", &encodings, Encoding::Utf8)?,
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
        let end = match (self.line_ends, cfg!(windows)) {
            (false, _) => "",
            (true, true) => "\r\n",
            (true, false) => "\n",
        };
        let text: String = lines.iter().flat_map(|line| [line.as_str(), end]).collect();
        let opened = self.force.then(|| Opened::new(&self.path)).flatten();
        let written = match (self.append, self.no_clobber) {
            (true, _) => self.append(&text),
            (false, true) => replace::create_new(&self.path, &self.encoding.bytes(&text, true), New::Shared),
            (false, false) => replace::replace(&self.path, &self.encoding.bytes(&text, true), New::Shared),
        };
        drop(opened);
        written.map_err(|error| self.wrong(&error))
    }

    fn append(&self, text: &str) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.path)?;
        let fresh = file.metadata()?.len() == 0;
        file.write_all(&self.encoding.bytes(text, fresh))?;
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
    /// Encodes a text, with a byte order mark if the file is new and the encoding has one.
    fn bytes(self, text: &str, fresh: bool) -> Vec<u8> {
        let marked = if fresh && matches!(self, Self::Utf8Mark | Self::Utf16 | Self::Utf16BigEndian) {
            format!("\u{feff}{text}")
        } else {
            text.to_owned()
        };
        let narrow = |limit: u32| {
            marked.chars().map(move |one| {
                u8::try_from(u32::from(one)).ok().filter(|_| u32::from(one) < limit).unwrap_or(b'?')
            })
        };
        match self {
            Self::Utf8 | Self::Utf8Mark => marked.into_bytes(),
            Self::Ascii => narrow(0x80).collect(),
            Self::Latin1 => narrow(0x100).collect(),
            Self::Utf16 => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16BigEndian => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }
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

pub fn out_file(bound: &Bound, width: usize, views: &Views) -> Result<Box<dyn Stage>, LineError> {
    let file = File::read(bound, "FilePath")?;
    let width = bound.count("Width")?.unwrap_or(width);
    Ok(drawn(file, width, views.clone()))
}

/// Returns a stage that writes objects to a file as drawn on the screen.
pub fn drawn(file: File, width: usize, views: Views) -> Box<dyn Stage> {
    written(file, move |_, values| {
        let mut printer = Printer::new(width, views);
        let mut lines: Vec<String> = values.iter().flat_map(|value| printer.push(value)).collect();
        lines.extend(printer.finish());
        Ok(lines)
    })
}

/// Returns a stage that writes the lines of all objects to a file. A pipeline that fails before the first
/// object leaves the file unchanged.
pub fn written<F>(file: File, lines: F) -> Box<dyn Stage>
where
    F: FnOnce(&mut File, &[Value]) -> Result<Vec<String>, LineError> + Send + 'static,
{
    Box::new(Written { file, held: Vec::new(), failed: None, lines: Some(lines) })
}

struct Written<F> {
    file: File,
    held: Vec<Value>,
    /// Set if the pipeline failed, to whether objects had arrived.
    failed: Option<bool>,
    lines: Option<F>,
}

impl<F> Stage for Written<F>
where
    F: FnOnce(&mut File, &[Value]) -> Result<Vec<String>, LineError> + Send,
{
    fn begin(&self) -> Result<(), LineError> {
        self.file.ready()
    }

    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), LineError> {
        self.held.push(value);
        Ok(())
    }

    fn fail(&mut self, fed: bool) {
        self.failed = Some(fed);
    }

    fn finish(&mut self, _: &mut Vec<Value>) -> Result<(), LineError> {
        // Some stages produce output without input, such as Measure-Object.
        let nothing = self.failed.is_some_and(|fed| !fed || self.held.is_empty());
        match self.lines.take().filter(|_| !nothing) {
            Some(lines) => {
                let lines = lines(&mut self.file, &self.held)?;
                self.file.write(&lines)
            }
            None => Ok(()),
        }
    }
}
