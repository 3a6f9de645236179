//! The first line of an input or a file.

use std::io::{self, BufRead, ErrorKind, Read as _};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::files::text;

/// Maximum length of the first line, or of a UTF-16 input, in bytes.
const MAX_INPUT: usize = 64 * 1024;

/// Reads the first line; `None` if it is empty.
///
/// # Errors
/// The input cannot be read, is too long, or is not text.
pub fn read(input: &mut impl BufRead) -> io::Result<Option<SecretString>> {
    // A growing buffer would leave the secret in the memory that it frees.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_INPUT + 1));
    let mut input = input.take(MAX_INPUT as u64 + 1);
    input.read_until(b'\n', &mut bytes)?;
    if text::is_utf16(&bytes) {
        // The byte 0x0A may be the first half of the line feed, or a part of another character.
        input.read_to_end(&mut bytes)?;
    }
    if bytes.len() > MAX_INPUT {
        let what = if text::is_utf16(&bytes) { "its UTF-16 text" } else { "its first line" };
        let reason = format!("{what} is longer than {} KiB", MAX_INPUT / 1024);
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    let text = Zeroizing::new(text::decode(&bytes).map_err(io::Error::other)?);
    Ok(text.lines().next().filter(|line| !line.is_empty()).map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_password_is_the_first_line_however_windows_pipes_it() {
        let utf16 =
            |text: &str| format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (plain, marked): (Vec<u8>, Vec<u8>) = (b"s\xc3\xa4cret\nmore".to_vec(), utf16("s\u{e4}cret\r\n"));
        for bytes in [plain, b"\xef\xbb\xbfs\xc3\xa4cret\r\n".to_vec(), marked] {
            assert_eq!(read(&mut bytes.as_slice()).unwrap().unwrap().expose_secret(), "s\u{e4}cret");
        }
        for bytes in [b"".as_slice(), b"\n", b"\xef\xbb\xbf\r\n"] {
            assert!(read(&mut &*bytes).unwrap().is_none(), "{bytes:x?}");
        }
        assert!(read(&mut b"\xff\xff\n".as_slice()).is_err());
    }

    #[test]
    fn a_long_first_line_is_refused_instead_of_cut() {
        let longest = [b"x".repeat(MAX_INPUT - 1), b"\nmore".to_vec()].concat();
        assert_eq!(read(&mut &*longest).unwrap().unwrap().expose_secret().len(), MAX_INPUT - 1);
        let utf16: Vec<u8> = [b"\xff\xfe".as_slice(), &b"x\0".repeat(MAX_INPUT)].concat();
        for (long, what) in [(vec![b'x'; MAX_INPUT + 1], "its first line"), (utf16, "its UTF-16 text")] {
            let error = read(&mut &*long).unwrap_err().to_string();
            assert_eq!(error, format!("{what} is longer than 64 KiB"));
        }
    }
}
