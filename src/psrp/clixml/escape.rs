//! `_xHHHH_`, CLIXML's escape for characters that XML cannot represent (MS-PSRP 2.2.5.3.2).

use std::borrow::Cow;

/// Returns whether PowerShell escapes this character: control characters, and everything outside the Basic
/// Multilingual Plane, surrogate by surrogate. U+FFFE and U+FFFF are not valid in XML either.
fn is_escaped(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}') || u32::from(c) > 0xffff
}

/// Returns text with `_xHHHH_` escapes; `_` before an `x` is escaped as well, to keep a literal `_x000A_`.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    if !text.contains(is_escaped) && !text.contains("_x") && !text.contains("_X") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if is_escaped(c) || (c == '_' && matches!(rest.peek(), Some('x' | 'X'))) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("_x{unit:04X}_"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Returns text without escapes. An escaped surrogate pair is one character; a lone surrogate, which no Rust
/// string can contain, is U+FFFD, as in .NET's UTF-8 encoder.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('_') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('_') {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            flush(&mut units, &mut out);
            out.push_str(before);
        }
        if let Some(unit) = escape_at(from) {
            units.push(unit);
            rest = &from[7..];
        } else {
            flush(&mut units, &mut out);
            out.push('_');
            rest = &from[1..];
        }
    }
    flush(&mut units, &mut out);
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the code unit of an escape at the start of `text`.
fn escape_at(text: &str) -> Option<u16> {
    let bytes = text.as_bytes().get(..7)?;
    let [b'_', b'x' | b'X', digits @ .., b'_'] = bytes else { return None };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_powershell_reads_them() {
        for (wire, text) in [
            ("a_x000A_b", "a\nb"),
            ("_x005F_x000A_", "_x000A_"),
            ("_xD83D__xDE00_!", "\u{1f600}!"),
            ("_xD83D_ and _xDE00_", "\u{fffd} and \u{fffd}"),
            ("_x00g0_ _x_ _", "_x00g0_ _x_ _"),
            ("_x0041", "_x0041"),
            ("_xé00_", "_xé00_"),
        ] {
            assert_eq!(decode(wire), text);
        }
    }

    #[test]
    fn escaped_text_round_trips() {
        for text in
            ["", "plain", "_", "_x", "_X000a_", "_x005F_", "tab\tline\r\n", "\u{1f600}", "\u{85}\u{ffff}"]
        {
            let wire = encode(text);
            assert_eq!(decode(&wire), text, "{wire}");
        }
        assert_eq!(encode("a\nb_xy"), "a_x000A_b_x005F_xy");
    }
}
