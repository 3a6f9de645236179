//! Out-File, `>` and `>>`: lines in a file, UTF-8 without a mark as PowerShell 7 has it.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use super::bind::{Bound, Parameter, Takes};
use super::{Stage, all};
use crate::line::Printer;
use crate::line::error::LineError;
use crate::line::views::Views;
use crate::psrp::clixml::Value;

/// What every cmdlet that writes a file takes.
pub const COMMON: [Parameter; 4] = [
    ("Append", Takes::Switch),
    ("Force", Takes::Switch),
    ("NoClobber", Takes::Switch),
    ("Encoding", Takes::Named),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf8Mark,
    Ascii,
    Latin1,
    Utf16,
    Utf16BigEndian,
}

/// A file that lines go to.
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
    /// The file of a redirection.
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

    /// The file that a cmdlet's arguments name.
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

    /// The first line of what is there, if anything is.
    pub fn first_line(&self) -> Option<String> {
        let file = std::fs::File::open(&self.path).ok()?;
        let mut line = String::new();
        std::io::BufReader::new(file).read_line(&mut line).ok()?;
        let line = line.trim_end_matches(['\r', '\n']).trim_start_matches('\u{feff}');
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// Writes lines; what goes wrong names the file.
    pub fn write(&self, lines: &[String]) -> Result<(), LineError> {
        let wrong = |error: std::io::Error| {
            let path = self.path.display();
            LineError(match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    format!("{}: The file '{path}' already exists.", self.cmdlet)
                }
                std::io::ErrorKind::NotFound => {
                    format!("{}: Could not find a part of the path '{path}'.", self.cmdlet)
                }
                std::io::ErrorKind::PermissionDenied => {
                    format!("{}: Access to the path '{path}' is denied.", self.cmdlet)
                }
                _ => format!("{}: Could not write to '{path}': {error}", self.cmdlet),
            })
        };
        if self.force {
            writable(&self.path);
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).append(self.append).truncate(!self.append && !self.no_clobber);
        if self.no_clobber && !self.append {
            options.create_new(true);
        } else {
            options.create(true);
        }
        let mut file = options.open(&self.path).map_err(wrong)?;
        let fresh = file.metadata().map(|file| file.len() == 0).unwrap_or(true);
        let end = match (self.line_ends, cfg!(windows)) {
            (false, _) => "",
            (true, true) => "\r\n",
            (true, false) => "\n",
        };
        let text: String = lines.iter().flat_map(|line| [line.as_str(), end]).collect();
        file.write_all(&self.encoding.bytes(&text, fresh)).and_then(|()| file.flush()).map_err(wrong)
    }
}

impl Encoding {
    /// The text's bytes, after a byte order mark where the file is fresh and the encoding has one.
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

/// `~/x` is in the person's own folder.
pub fn located(path: &str) -> PathBuf {
    let home = || directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
    match path.strip_prefix("~/").or_else(|| path.strip_prefix("~\\")) {
        Some(rest) => home().map_or_else(|| PathBuf::from(path), |home| home.join(rest)),
        None => PathBuf::from(path),
    }
}

/// -Force writes to a read-only file; where that can't be arranged, opening it says so.
fn writable(path: &std::path::Path) {
    let Ok(file) = std::fs::metadata(path) else { return };
    let mut permissions = file.permissions();
    if !permissions.readonly() {
        return;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        permissions.set_mode(permissions.mode() | 0o200);
    }
    #[cfg(not(unix))]
    #[expect(clippy::permissions_set_readonly_false, reason = "it opens the file to nobody else here")]
    permissions.set_readonly(false);
    let _ = std::fs::set_permissions(path, permissions);
}

pub fn out_file(bound: &Bound, width: usize, views: &Views) -> Result<Box<dyn Stage>, LineError> {
    let file = File::read(bound, "FilePath")?;
    let width = bound.count("Width")?.unwrap_or(width);
    Ok(drawn(file, width, views.clone()))
}

/// Objects drawn as on the screen, in a file.
pub fn drawn(file: File, width: usize, views: Views) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| {
        let mut printer = Printer::new(width, views);
        let mut lines: Vec<String> = values.iter().flat_map(|value| printer.push(value)).collect();
        lines.extend(printer.finish());
        file.write(&lines)?;
        Ok(Vec::new())
    })
}
