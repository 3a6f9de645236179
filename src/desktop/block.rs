//! The marked lyncsh block in a user's script: inserts, finds and removes it. All other bytes stay unchanged. Pure.
//!
//! The block is ASCII, which has the same meaning in all encodings that PowerShell supports. If the file
//! ended without a newline, the block was added with a newline before it and ends the file without one;
//! otherwise it was added with a newline after it.

use std::fmt::Write as _;

use crate::platform;

const BEGIN: &str = "# >>> lyncsh hook";
const END: &str = "# <<< lyncsh hook <<<";
/// Start of the signature of a script (about_Signing).
const SIGNATURE: &str = "# SIG # Begin signature block";

/// Reason why a script cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The user removed the end marker of the block; the number is the line of the start marker.
    #[error("line {0} starts a lyncsh block, but its end is missing")]
    MissingEnd(usize),
    /// The user removed the start marker of the block; the number is the line of the end marker.
    #[error("line {0} ends a lyncsh block, but its start is missing")]
    MissingStart(usize),
    /// The user copied the block, or merged two scripts.
    #[error("found two lyncsh blocks, on lines {0} and {1}")]
    SeveralBlocks(usize, usize),
    /// The checksum in the start marker does not match the lines of the block.
    #[error("the lyncsh block on line {0} was edited")]
    Edited(usize),
    /// The script has a signature block (about_Signing), which covers all other lines.
    #[error("the script is signed (line {0}), and any change breaks its signature")]
    Signed(usize),
    /// The script starts with the byte order mark of UTF-32.
    #[error("the script is in UTF-32, which is not supported")]
    Utf32,
    /// The script has the byte order mark of UTF-16 and an odd number of bytes.
    #[error("the script is in UTF-16, but its last character is incomplete")]
    IncompleteUtf16,
    /// A custom template of the hook contains other characters, whose bytes depend on the encoding of the script.
    #[error("the lines of the hook are not ASCII")]
    NotAscii,
}

/// Line ending of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newline {
    Lf,
    CrLf,
}

impl Newline {
    const fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }
}

/// Returns the script with the block: at its end, or in place of its current block. `newline` is used if the
/// script has no lines.
///
/// # Errors
/// The script cannot be changed safely.
pub fn install(script: &[u8], body: &str, newline: Newline) -> Result<Vec<u8>, BlockError> {
    if !body.is_ascii() {
        return Err(BlockError::NotAscii);
    }
    let mut read = Script::read(script)?;
    if let Some(found) = find(&read.units)? {
        let text = units(&render(body, found.newline));
        if read.units[found.start..found.end] != text {
            read.check_unsigned()?;
            read.units.splice(found.start..found.end, text);
        }
        return Ok(read.write());
    }
    read.check_unsigned()?;
    let newline = read.newline().unwrap_or(newline);
    let text = render(body, newline);
    match read.units.last() {
        None => read.units.extend(units(&(text + newline.text()))),
        Some(last) if *last == u16::from(b'\n') => read.units.extend(units(&(text + newline.text()))),
        Some(_) => read.units.extend(units(&(newline.text().to_owned() + &text))),
    }
    Ok(read.write())
}

/// Returns the script without the block, or `None` if it has no block.
///
/// # Errors
/// The script cannot be changed safely.
pub fn remove(script: &[u8]) -> Result<Option<Vec<u8>>, BlockError> {
    let mut read = Script::read(script)?;
    let Some(mut found) = find(&read.units)? else { return Ok(None) };
    read.check_unsigned()?;
    let newline = units(found.newline.text());
    if read.units[found.end..].starts_with(&newline) {
        found.end += newline.len();
    } else if read.units[..found.start].ends_with(&newline) {
        found.start -= newline.len();
    }
    read.units.drain(found.start..found.end);
    Ok(Some(read.write()))
}

/// Returns the lines of the block in a script, or `None` if it has no block.
///
/// # Errors
/// The block is not complete.
pub fn body(script: &[u8]) -> Result<Option<String>, BlockError> {
    Ok(find(&Script::read(script)?.units)?.map(|found| found.body))
}

/// Returns whether the script is empty, except for a byte order mark.
pub fn is_empty(script: &[u8]) -> bool {
    Script::read(script).is_ok_and(|read| read.units.is_empty())
}

/// Renders the block with its markers, without a newline at the end. Its checksum shows later whether the
/// block was edited.
pub fn render(body: &str, newline: Newline) -> String {
    let mut text = format!("{BEGIN} {:016x} >>>{}", sum(body), newline.text());
    for line in body.lines() {
        let _ = write!(text, "{line}{}", newline.text());
    }
    text + END
}

/// Returns the checksum of the lines, which does not depend on their endings.
fn sum(body: &str) -> u64 {
    let bytes: Vec<u8> = body.lines().flat_map(|line| line.bytes().chain([b'\n'])).collect();
    platform::hash(&bytes)
}

fn units(text: &str) -> Vec<u16> {
    text.bytes().map(u16::from).collect()
}

/// A script's code units without the byte order mark: bytes, or UTF-16 units.
struct Script {
    mark: &'static [u8],
    units: Vec<u16>,
}

const UTF8: &[u8] = &[0xEF, 0xBB, 0xBF];
const UTF16_LE: &[u8] = &[0xFF, 0xFE];
const UTF16_BE: &[u8] = &[0xFE, 0xFF];

impl Script {
    fn read(bytes: &[u8]) -> Result<Self, BlockError> {
        if bytes.starts_with(&[0xFF, 0xFE, 0, 0]) || bytes.starts_with(&[0, 0, 0xFE, 0xFF]) {
            return Err(BlockError::Utf32);
        }
        let mark = [UTF8, UTF16_LE, UTF16_BE].into_iter().find(|mark| bytes.starts_with(mark));
        let mark = mark.unwrap_or_default();
        let rest = &bytes[mark.len()..];
        let join: fn([u8; 2]) -> u16 = match mark {
            UTF16_LE => u16::from_le_bytes,
            UTF16_BE => u16::from_be_bytes,
            _ => return Ok(Self { mark, units: rest.iter().copied().map(u16::from).collect() }),
        };
        let (pairs, half) = rest.as_chunks::<2>();
        if !half.is_empty() {
            return Err(BlockError::IncompleteUtf16);
        }
        Ok(Self { mark, units: pairs.iter().copied().map(join).collect() })
    }

    fn write(self) -> Vec<u8> {
        let mut bytes = self.mark.to_vec();
        match self.mark {
            UTF16_LE => bytes.extend(self.units.into_iter().flat_map(u16::to_le_bytes)),
            UTF16_BE => bytes.extend(self.units.into_iter().flat_map(u16::to_be_bytes)),
            // Each unit was read from one byte.
            _ => bytes.extend(self.units.into_iter().map(|unit| unit.to_le_bytes()[0])),
        }
        bytes
    }

    /// Returns the ending of the last terminated line.
    fn newline(&self) -> Option<Newline> {
        let at = self.units.iter().rposition(|unit| *unit == u16::from(b'\n'))?;
        Some(if self.units[..at].ends_with(&[u16::from(b'\r')]) { Newline::CrLf } else { Newline::Lf })
    }

    fn check_unsigned(&self) -> Result<(), BlockError> {
        match lines(&self.units).position(|line| line.text.trim_start().starts_with(SIGNATURE)) {
            Some(before) => Err(BlockError::Signed(before + 1)),
            None => Ok(()),
        }
    }
}

/// A line without its ending.
struct Line {
    start: usize,
    end: usize,
    /// Characters that are not ASCII are replaced by question marks.
    text: String,
}

fn lines(units: &[u16]) -> impl Iterator<Item = Line> + '_ {
    let mut start = 0;
    units.split_inclusive(|unit| *unit == u16::from(b'\n')).map(move |line| {
        let text = line.strip_suffix(&[u16::from(b'\n')]).unwrap_or(line);
        let ended = text.len() < line.len();
        let text = if ended { text.strip_suffix(&[u16::from(b'\r')]).unwrap_or(text) } else { text };
        let found = Line { start, end: start + text.len(), text: ascii(text) };
        start += line.len();
        found
    })
}

fn ascii(units: &[u16]) -> String {
    let byte = |unit: &u16| u8::try_from(*unit).ok().filter(u8::is_ascii).unwrap_or(b'?');
    units.iter().map(|unit| char::from(byte(unit))).collect()
}

/// A block in a script, with its markers.
struct Found {
    start: usize,
    end: usize,
    newline: Newline,
    body: String,
}

fn find(units: &[u16]) -> Result<Option<Found>, BlockError> {
    let mut begin: Option<(usize, Line)> = None;
    let mut whole: Option<(usize, usize, usize)> = None;
    for (before, line) in lines(units).enumerate() {
        let number = before + 1;
        let text = line.text.trim();
        if text.starts_with(BEGIN) {
            if let Some((first, _)) = begin {
                return Err(BlockError::MissingEnd(first));
            }
            if let Some((first, ..)) = whole {
                return Err(BlockError::SeveralBlocks(first, number));
            }
            begin = Some((number, line));
        } else if text.starts_with(END) {
            let Some((first, opening)) = begin.take() else { return Err(BlockError::MissingStart(number)) };
            whole = Some((first, opening.start, line.end));
        }
    }
    if let Some((first, _)) = begin {
        return Err(BlockError::MissingEnd(first));
    }
    let Some((number, start, end)) = whole else { return Ok(None) };
    let text = ascii(&units[start..end]);
    let newline = if text.contains('\r') { Newline::CrLf } else { Newline::Lf };
    let body: String = text.split(newline.text()).map(|line| line.to_owned() + "\n").collect();
    let inner = body.split_once('\n').and_then(|(_, rest)| rest.strip_suffix(&format!("{END}\n")));
    let body = inner.ok_or(BlockError::Edited(number))?.to_owned();
    // The block must be as it was rendered, and its last line must have the same ending as the others.
    let rest = &units[end..];
    let ends = rest.is_empty() || rest.starts_with(&self::units(newline.text()));
    if self::units(&render(&body, newline)) != units[start..end] || !ends {
        return Err(BlockError::Edited(number));
    }
    Ok(Some(Found { start, end, newline, body }))
}
