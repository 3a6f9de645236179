//! Decoding of text files: UTF-8 with or without a byte order mark, UTF-16 with a byte order mark.

use std::io;
use std::path::Path;

/// Error of decoding text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// The line has bytes of another encoding, for example of an 8-bit code page.
    #[error("line {line} is not UTF-8: save the file as UTF-8, or as UTF-16 with a byte order mark")]
    Utf8 { line: usize },
    /// The line has half of a surrogate pair or of a code unit: the file was cut or damaged.
    #[error("line {line} is not UTF-16, although the file starts with its byte order mark")]
    Utf16 { line: usize },
    /// The file is UTF-16 without a byte order mark, or is not text.
    #[error("line {line} contains a NUL: UTF-16 needs a byte order mark; save the file as UTF-8")]
    Nul { line: usize },
    /// An editor saved the file as UTF-32, which lyncsh does not read.
    #[error("line 1 starts with the byte order mark of UTF-32: save the file as UTF-8")]
    Utf32,
}

/// Returns whether bytes start with the byte order mark of UTF-16, in which a line feed has two bytes.
pub fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])
}

/// Decodes text without its byte order mark.
pub fn decode(bytes: &[u8]) -> Result<String, NotText> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Err(NotText::Utf32),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => {
            if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
                return Err(NotText::Nul { line: line_of(&bytes[..at]) });
            }
            utf8(bytes)
        }
    }
}

/// Reads a text file.
///
/// # Errors
/// The file cannot be read, or is not text ([`io::ErrorKind::InvalidData`], with a [`NotText`]).
pub fn read(path: &Path) -> io::Result<String> {
    decode(&std::fs::read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn utf8(bytes: &[u8]) -> Result<String, NotText> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(NotText::Utf8 { line: line_of(&bytes[..error.valid_up_to()]) }),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, NotText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    for letter in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match letter {
            Ok(letter) => text.push(letter),
            Err(_) => return Err(NotText::Utf16 { line: line_of(text.as_bytes()) }),
        }
    }
    if rest.is_empty() { Ok(text) } else { Err(NotText::Utf16 { line: line_of(text.as_bytes()) }) }
}

/// Returns the number of the line that follows these bytes.
fn line_of(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn all_encodings_decode_to_the_same_text() {
        let text = "kind = \"ä\u{1f980}\"\r\nuser\n";
        let marked = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
        for bytes in
            [text.as_bytes().to_vec(), marked, utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)]
        {
            assert_eq!(decode(&bytes).as_deref(), Ok(text), "{bytes:x?}");
        }
        assert_eq!(decode(b"").as_deref(), Ok(""));
    }

    #[test]
    fn invalid_text_is_refused_with_its_line() {
        assert_eq!(decode(b"one\ntwo\nf\xfcnf\n"), Err(NotText::Utf8 { line: 3 }));
        assert_eq!(decode(b"o\0n\0e\0"), Err(NotText::Nul { line: 1 }));
        let mut half = utf16("one\ntwo", u16::to_le_bytes);
        half.push(0);
        assert_eq!(decode(&half), Err(NotText::Utf16 { line: 2 }));
        let alone = [utf16("one\n", u16::to_be_bytes), vec![0xd8, 0x00]].concat();
        assert_eq!(decode(&alone), Err(NotText::Utf16 { line: 2 }));
        assert_eq!(decode(b"\xff\xfe\0\0x\0\0\0"), Err(NotText::Utf32));
        assert_eq!(decode(b"a\nb\xff"), Err(NotText::Utf8 { line: 2 }));
    }
}
