//! Cleans text of any origin so that it is safe to display on a terminal.
//!
//! An escape sequence in text from an endpoint can write the clipboard, change the title, or answer for the
//! user. Text, tabs, line feeds and SGR (colours and text attributes) pass; all other control characters are
//! made visible. The `vte` parser finds the escape sequences.

use std::fmt;

use super::sgr::{self, Sgr};

/// Maximum length of a recognised SGR sequence, in bytes.
const LONGEST_SGR: usize = 256;
/// Maximum number of attributes that are continued on the next line.
const MOST_CARRIED: usize = 16;

/// Handling of SGR sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Keep,
    Drop,
}

/// Text that is safe to write to a terminal. Only [`clean`] and [`clean_line`] create it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of a text, by its effect on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    /// LF, or CR LF.
    LineEnd(&'a str),
    Tab,
    Sgr(&'a str, Sgr),
    /// A control character, which is displayed instead of executed.
    Control(char),
}

impl Part<'_> {
    /// Returns the length of the part in the source, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::LineEnd(text) | Self::Sgr(text, _) => text.len(),
            Self::Tab => 1,
            Self::Control(letter) => letter.len_utf8(),
        }
    }
}

/// Splits a text into parts, which together are the whole text.
pub(super) struct Parts<'a>(pub &'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let text = self.0;
        let part = match text.chars().next()? {
            '\n' => Part::LineEnd(&text[..1]),
            '\t' => Part::Tab,
            '\r' if text[1..].starts_with('\n') => Part::LineEnd(&text[..2]),
            '\u{1b}' => match sgr(text) {
                Some((length, sgr)) => Part::Sgr(&text[..length], sgr),
                None => Part::Control('\u{1b}'),
            },
            letter if is_control(letter) => Part::Control(letter),
            _ => Part::Text(&text[..text.find(is_control).unwrap_or(text.len())]),
        };
        self.0 = &text[part.len()..];
        Some(part)
    }
}

/// Returns whether a terminal would execute the character, or reorder text by it.
fn is_control(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            // Arabic letter mark, left-to-right and right-to-left marks.
            '\u{61c}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separators, embeddings, overrides.
            | '\u{2028}'..='\u{202e}'
            // Isolates, and the deprecated formatting characters.
            | '\u{2066}'..='\u{206f}'
        )
}

/// Returns the SGR sequence at the start of `text`, and its length.
fn sgr(text: &str) -> Option<(usize, Sgr)> {
    let mut parser = vte::Parser::new();
    let mut found = sgr::Listener::default();
    for (at, byte) in text.bytes().enumerate().take(LONGEST_SGR) {
        // A terminal executes a control character inside a sequence, then continues the sequence.
        if at > 0 && !(b' '..=b'~').contains(&byte) {
            return None;
        }
        parser.advance(&mut found, &[byte]);
        if let Some(sequence) = found.sequence.take() {
            return sequence.map(|sgr| (at + 1, sgr));
        }
    }
    None
}

/// Formats a control character like `cat -v` and `less`.
pub(super) fn visible(letter: char) -> String {
    match letter {
        '\0'..='\u{1f}' => format!("^{}", char::from(b'@' + u8::try_from(letter).unwrap_or_default())),
        '\u{7f}' => "^?".to_owned(),
        _ => format!("<U+{:04X}>", u32::from(letter)),
    }
}

/// Cleans a text. Colours end with each line and with the text.
pub fn clean(text: &str, colour: Colour) -> Shown {
    let mut out = String::with_capacity(text.len());
    // SGR sequences since the last reset, and whether they are in effect in `out`.
    let mut active: Vec<String> = Vec::new();
    let mut is_open = false;
    for part in Parts(text) {
        match part {
            Part::LineEnd(_) => {
                if is_open {
                    out.push_str(sgr::RESET);
                    is_open = false;
                }
                out.push('\n');
                continue;
            }
            Part::Sgr(..) if colour == Colour::Drop => continue,
            Part::Sgr(_, sgr) if sgr.resets => active.clear(),
            _ => {}
        }
        if !is_open && !active.is_empty() {
            out.extend(active.iter().map(String::as_str));
            is_open = true;
        }
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Tab => out.push('\t'),
            Part::Control(letter) => out.push_str(&visible(letter)),
            Part::Sgr(source, sgr) => {
                let canonical = sgr::canonical(source);
                out.push_str(&canonical);
                if sgr.sets {
                    if active.len() == MOST_CARRIED {
                        active.remove(0);
                    }
                    active.push(canonical);
                }
                is_open = !active.is_empty();
            }
            Part::LineEnd(_) => {}
        }
    }
    if is_open {
        out.push_str(sgr::RESET);
    }
    Shown(out)
}

/// Returns whether a colour of the text is still in effect at its end.
pub fn is_open(text: &str) -> bool {
    Parts(text).fold(false, |open, part| match part {
        Part::Sgr(_, sgr) => sgr.sets || (open && !sgr.resets),
        _ => open,
    })
}

/// Removes the colours of a text.
pub fn without_colours(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    for part in Parts(text) {
        let (source, later) = rest.split_at(part.len());
        if !matches!(part, Part::Sgr(..)) {
            out.push_str(source);
        }
        rest = later;
    }
    out
}

/// Cleans a text and removes its colours; line ends and tabs become spaces.
pub fn clean_line(text: &str) -> Shown {
    let shown = clean(text.trim_end_matches(['\r', '\n']), Colour::Drop);
    Shown(shown.0.replace(['\n', '\t'], " "))
}

/// Returns whether a text is displayed unchanged: one line without control characters and colours.
pub fn is_plain(text: &str) -> bool {
    !text.contains(is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(text: &str) -> String {
        clean(text, Colour::Keep).into_string()
    }

    fn dropped(text: &str) -> String {
        clean(text, Colour::Drop).into_string()
    }

    #[test]
    fn text_tabs_line_feeds_and_colours_pass() {
        for text in ["", "Jörg\tKen\n\n日本語 👨‍👩‍👧 é", "\u{1b}[31mred\u{1b}[0m", "\u{1b}[38;5;9;1mx\u{1b}[0m"]
        {
            assert_eq!(kept(text), text);
        }
        assert_eq!(dropped("\u{1b}[32;1mName\u{1b}[0m : \u{1b}[4:3mx\u{1b}[m"), "Name : x");
    }

    #[test]
    fn every_other_control_character_is_visible() {
        for (text, shown) in [
            ("\u{1b}]52;c;cm0=\u{7}", "^[]52;c;cm0=^G"),
            ("\u{1b}]0;title\u{1b}\\", "^[]0;title^[\\"),
            ("\u{9d}0;title\u{9c}", "<U+009D>0;title<U+009C>"),
            ("\u{9b}2J\u{85}", "<U+009B>2J<U+0085>"),
            ("\u{1b}[2J\u{1b}[H\u{1b}c\u{1b}(0", "^[[2J^[[H^[c^[(0"),
            (
                "\u{1b}P$q\"p\u{1b}\\\u{1b}_x\u{1b}\\\u{1b}^y\u{1b}\\\u{1b}Xz",
                "^[P$q\"p^[\\^[_x^[\\^[^y^[\\^[Xz",
            ),
            ("\u{1b}[>4m\u{1b}[?1m\u{1b}[1 m\u{1b}[8m\u{1b}[38m", "^[[>4m^[[?1m^[[1 m^[[8m^[[38m"),
            ("a\u{8}b\u{7f}\0\u{b}\u{c}", "a^Hb^?^@^K^L"),
            ("100%\rover", "100%^Mover"),
            ("one\r\ntwo\r\r\n", "one\ntwo^M\n"),
            ("gpj.\u{202e}exe\u{2066}\u{200f}\u{61c}", "gpj.<U+202E>exe<U+2066><U+200F><U+061C>"),
            ("a\u{2028}b\u{2029}", "a<U+2028>b<U+2029>"),
        ] {
            assert_eq!(dropped(text), shown);
            assert_eq!(kept(text), shown);
        }
    }

    #[test]
    fn a_broken_or_unfinished_sequence_is_visible() {
        for (text, shown) in [
            ("x\u{1b}", "x^["),
            ("\u{1b}[", "^[["),
            ("\u{1b}[31", "^[[31"),
            // Terminals execute the character and finish the sequence.
            ("\u{1b}[3\n1m", "^[[3\n1m"),
            ("\u{1b}\u{1b}[2J", "^[^[[2J"),
            ("\u{1b}[3\u{7f}1m", "^[[3^?1m"),
            ("\u{1b}[3é1m", "^[[3é1m"),
        ] {
            assert_eq!(kept(text), shown);
        }
        assert_eq!(kept(&format!("\u{1b}[{}m", "1;".repeat(200))), format!("^[[{}m", "1;".repeat(200)));
        // A sequence that is split over two texts is not joined.
        assert_eq!(kept("\u{1b}[") + &kept("2J"), "^[[2J");
    }

    #[test]
    fn colours_are_reset_and_resumed_per_line() {
        assert_eq!(kept("\u{1b}[31mred"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(
            kept("\u{1b}[31ma\n\nb\u{1b}[1mc\n"),
            "\u{1b}[31ma\u{1b}[0m\n\n\u{1b}[31mb\u{1b}[1mc\u{1b}[0m\n"
        );
        assert_eq!(kept("\u{1b}[31ma\n\u{1b}[0mb\n"), "\u{1b}[31ma\u{1b}[0m\n\u{1b}[0mb\n");
        assert_eq!(kept("\u{1b}[0;31mx\u{1b}[;mx"), "\u{1b}[0;31mx\u{1b}[0;0mx");
    }

    #[test]
    fn colours_of_many_lines_stay_bounded() {
        let text = "\u{1b}[1m".repeat(5_000) + &"x\n".repeat(5_000);
        assert!(kept(&text).len() < text.len() + 5_000 * (MOST_CARRIED + 2) * 4);
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(clean_line("a\r\nb\tc\u{1b}[1m\u{7}\r\n").as_str(), "a b c^G");
        assert!(
            is_plain("Get-Jörg") && !is_plain("Get-\u{1b}[1mX") && !is_plain("a\tb") && !is_plain("\u{202e}")
        );
    }

    /// Model of a terminal, which records each command that it executes.
    #[derive(Default)]
    struct Obeyed(Vec<String>);

    impl vte::Perform for Obeyed {
        fn print(&mut self, letter: char) {
            if is_control(letter) {
                self.0.push(format!("{letter:?}"));
            }
        }

        fn execute(&mut self, byte: u8) {
            if byte != b'\n' && byte != b'\t' {
                self.0.push(format!("{byte:#x}"));
            }
        }

        fn csi_dispatch(&mut self, _: &vte::Params, intermediates: &[u8], ignore: bool, action: char) {
            if action != 'm' || ignore || !intermediates.is_empty() {
                self.0.push(format!("CSI {action}"));
            }
        }

        fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
            self.0.push("OSC".to_owned());
        }

        fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
            self.0.push(format!("ESC {byte:#x}"));
        }

        fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, _: char) {
            self.0.push("DCS".to_owned());
        }
    }

    /// Hostile text: sequences of all kinds, complete and broken, between words.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "\\PC{0,4}",
            "[\\x00-\\x1f\\x7f-\\u{9f}]",
            "\\x1b\\[[0-9;:?> ]{0,8}[@-~]?",
            "\\x1b\\[(0|1|31|38;5;7|48:2:1:2:3|39)?m",
            "[\\x1b\\u{9d}\\u{90}][\\]PX^_]?[0-9a-z;]{0,6}(\\x07|\\x1b\\\\)?",
            "[\\u{200e}\\u{200f}\\u{2028}-\\u{202e}\\u{2066}-\\u{206f}\\u{61c}\\r\\n\\t]{1,3}",
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_terminal_only_displays_it(text in hostile(), after in "[a-z]") {
            for colour in [Colour::Keep, Colour::Drop] {
                let shown = clean(&text, colour).into_string();
                let mut obeyed = Obeyed::default();
                // A letter after it is displayed: no sequence is left open.
                vte::Parser::new().advance(&mut obeyed, (shown.clone() + &after).as_bytes());
                prop_assert_eq!(obeyed.0, Vec::<String>::new());
                let escapes = shown.contains(char::from(0x1b));
                prop_assert!(colour == Colour::Keep || !escapes);
                prop_assert_eq!(clean(&shown, colour).into_string(), shown);
            }
        }

        #[test]
        fn the_width_matches_the_displayed_text(text in hostile()) {
            let line = text.replace(['\r', '\n'], "");
            let shown = clean(&line, Colour::Drop);
            prop_assert_eq!(super::super::width(&line), super::super::width(shown.as_str()));
        }

        #[test]
        fn the_parts_cover_the_text(text in hostile()) {
            prop_assert_eq!(Parts(&text).map(|part| part.len()).sum::<usize>(), text.len());
        }
    }
}
