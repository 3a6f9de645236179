//! The marked block in a script that is somebody's own: put in, found in place, taken out, and every
//! other byte stays as it was. Pure.
//!
//! The block is ASCII, so that it means the same whichever of its encodings PowerShell reads the file
//! in. Whether the file ended with a newline is told by the block itself: one that ends the file
//! without a newline has brought the newline before it, any other the one behind it.

use std::fmt::Write as _;

use crate::platform;

const BEGIN: &str = "# >>> lyncsh hook";
const END: &str = "# <<< lyncsh hook <<<";
/// What a signed script ends with (about_Signing).
const SIGNATURE: &str = "# SIG # Begin signature block";

/// Why a script is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("line {0} begins lyncsh's block, but its end is missing")]
    Cut(usize),
    #[error("line {0} ends lyncsh's block, but its beginning is missing")]
    Headless(usize),
    #[error("lyncsh's block is there twice: in line {0} and in line {1}")]
    Twice(usize, usize),
    #[error("lyncsh's block in line {0} was changed by hand")]
    Edited(usize),
    #[error("the script is signed (line {0}), and any change breaks its signature")]
    Signed(usize),
    #[error("the script is in UTF-32, which is not changed here")]
    Utf32,
    #[error("the script is marked as UTF-16, but its last character is cut in half")]
    Torn,
    #[error("the block's own text is not ASCII")]
    NotAscii,
}

/// How a script's lines end.
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

/// The script with the block in it: at its end, or in place of the one that is there. The lines of a
/// script that has none end with `newline`.
///
/// # Errors
/// What is there can't be changed without guessing.
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

/// The script without the block; `None` where it has none.
///
/// # Errors
/// What is there can't be changed without guessing.
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

/// The lines of the block in a script; `None` where it has none.
///
/// # Errors
/// What is there is not a whole block.
pub fn body(script: &[u8]) -> Result<Option<String>, BlockError> {
    Ok(find(&Script::read(script)?.units)?.map(|found| found.body))
}

/// Whether nothing stands in the script but its byte order mark.
pub fn is_empty(script: &[u8]) -> bool {
    Script::read(script).is_ok_and(|read| read.units.is_empty())
}

/// The whole block, from mark to mark, without a newline behind it. The sum tells later whether it
/// was changed by hand.
pub fn render(body: &str, newline: Newline) -> String {
    let mut text = format!("{BEGIN} {:016x} >>>{}", sum(body), newline.text());
    for line in body.lines() {
        let _ = write!(text, "{line}{}", newline.text());
    }
    text + END
}

/// Over the lines, whatever ends them.
fn sum(body: &str) -> u64 {
    let bytes: Vec<u8> = body.lines().flat_map(|line| line.bytes().chain([b'\n'])).collect();
    platform::hash(&bytes)
}

fn units(text: &str) -> Vec<u16> {
    text.bytes().map(u16::from).collect()
}

/// A script's code units behind its byte order mark: bytes, or those of UTF-16.
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
            return Err(BlockError::Torn);
        }
        Ok(Self { mark, units: pairs.iter().copied().map(join).collect() })
    }

    fn write(self) -> Vec<u8> {
        let mut bytes = self.mark.to_vec();
        match self.mark {
            UTF16_LE => bytes.extend(self.units.into_iter().flat_map(u16::to_le_bytes)),
            UTF16_BE => bytes.extend(self.units.into_iter().flat_map(u16::to_be_bytes)),
            // Each was one byte.
            _ => bytes.extend(self.units.into_iter().map(|unit| unit.to_le_bytes()[0])),
        }
        bytes
    }

    /// How the last line that ends does.
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

/// One line without what ends it.
struct Line {
    start: usize,
    end: usize,
    /// What is not ASCII is a question mark here.
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

/// Where the block is: from its first mark to behind its last.
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
                return Err(BlockError::Cut(first));
            }
            if let Some((first, ..)) = whole {
                return Err(BlockError::Twice(first, number));
            }
            begin = Some((number, line));
        } else if text.starts_with(END) {
            let Some((first, opening)) = begin.take() else { return Err(BlockError::Headless(number)) };
            whole = Some((first, opening.start, line.end));
        }
    }
    if let Some((first, _)) = begin {
        return Err(BlockError::Cut(first));
    }
    let Some((number, start, end)) = whole else { return Ok(None) };
    let text = ascii(&units[start..end]);
    let newline = if text.contains('\r') { Newline::CrLf } else { Newline::Lf };
    let body: String = text.split(newline.text()).map(|line| line.to_owned() + "\n").collect();
    let inner = body.split_once('\n').and_then(|(_, rest)| rest.strip_suffix(&format!("{END}\n")));
    let body = inner.ok_or(BlockError::Edited(number))?.to_owned();
    // As it was written, and the line behind it ends as its own do.
    let rest = &units[end..];
    let ends = rest.is_empty() || rest.starts_with(&self::units(newline.text()));
    if self::units(&render(&body, newline)) != units[start..end] || !ends {
        return Err(BlockError::Edited(number));
    }
    Ok(Some(Found { start, end, newline, body }))
}
