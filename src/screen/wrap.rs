//! Columns of the screen: width, cutting, and wrapping of text as it will be displayed.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::clean::{Part, Parts, visible};

/// The narrowest terminal for which text is laid out.
const NARROWEST: usize = 20;

/// The columns that a text takes when [`super::clean`] has made it safe to display.
pub fn width(text: &str) -> usize {
    Parts(text)
        .map(|part| match part {
            Part::Text(text) => text.width(),
            Part::Control(letter) => visible(letter).width(),
            Part::Tab | Part::LineEnd(_) => 1,
            Part::Sgr(..) => 0,
        })
        .sum()
}

/// The longest beginning of `text` that fits in `columns`, and the rest. An escape sequence is not cut.
pub fn cut(text: &str, columns: usize) -> (&str, &str) {
    // A long text is not read to its end for each of its lines.
    let window = &text[..text.floor_char_boundary(columns.saturating_mul(4).saturating_add(64))];
    let at =
        exceeds(window, columns).or_else(|| (window.len() < text.len()).then(|| exceeds(text, columns))?);
    text.split_at(at.unwrap_or(text.len()))
}

/// Where a text begins to be wider than `columns`.
fn exceeds(text: &str, columns: usize) -> Option<usize> {
    let (mut used, mut at) = (0, 0);
    for part in Parts(text) {
        match part {
            Part::Text(run) => {
                for (offset, letter) in run.char_indices() {
                    used += letter.width().unwrap_or(0);
                    if used > columns {
                        return Some(at + offset);
                    }
                }
            }
            Part::Control(letter) => used += visible(letter).width(),
            Part::Tab | Part::LineEnd(_) => used += 1,
            Part::Sgr(..) => {}
        }
        if used > columns {
            return Some(at);
        }
        at += part.len();
    }
    None
}

/// The longest end of `text` that fits in `columns`.
pub fn cut_start(text: &str, columns: usize) -> &str {
    let Some(over) = width(text).checked_sub(columns) else { return text };
    // The narrowest beginning that is at least as wide as what is too much.
    let (before, after) = cut(text, over);
    if width(before) < over { &after[first(after).len()..] } else { after }
}

/// The first character, or escape sequence, of a text.
fn first(text: &str) -> &str {
    let length = Parts(text).next().map_or(0, |part| match part {
        Part::Text(run) => run.chars().next().map_or(0, char::len_utf8),
        part => part.len(),
    });
    &text[..length]
}

/// The lines of a text, each at most `columns` wide. Words are cut only where they do not fit in a line of
/// their own. A line that continues is indented as its beginning is, and by `hang` more.
pub fn wrap(text: &str, columns: usize, hang: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let widest = line.split(' ').map(width).max().unwrap_or(0);
        // No indentation is worth the cut of a word that has room without it.
        let most = if widest <= columns { (columns - widest).min(columns / 2) } else { columns / 2 };
        let indent = (line.len() - line.trim_start_matches(' ').len() + hang).min(most);
        let mut rest = line;
        let mut margin = 0;
        while let Some((now, later)) = first_line(rest, columns.saturating_sub(margin).max(1)) {
            if later.is_empty() {
                rest = now;
                break;
            }
            lines.push(format!("{:margin$}{now}", ""));
            (rest, margin) = (later, indent);
        }
        lines.push(format!("{:margin$}{rest}", ""));
    }
    lines
}

/// What of `text` stands in a line of this width, and what follows; `None` where the whole text does.
fn first_line(text: &str, columns: usize) -> Option<(&str, &str)> {
    let (fits, over) = cut(text, columns);
    if over.is_empty() {
        return None;
    }
    if over.starts_with(' ') {
        return Some((fits, over.trim_start_matches(' ')));
    }
    let words = fits.len() - fits.trim_start_matches(' ').len();
    Some(match fits.rfind(' ') {
        // Leading spaces are the line's indentation.
        Some(at) if at > words => (fits[..at].trim_end_matches(' '), &text[at + 1..]),
        _ if fits.is_empty() => text.split_at(first(text).len()),
        _ => (fits, over),
    })
}

/// A message as it is displayed on a terminal of this many columns.
pub fn wrapped(text: &str, columns: usize, hang: usize) -> String {
    wrap(text, columns.max(NARROWEST), hang).join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn width_is_that_of_what_is_displayed() {
        assert_eq!(width("\u{1b}[31mKen\u{1b}[0m"), 3);
        assert_eq!(width("\u{1b}]0;t\u{7}"), "^[]0;t^G".len());
        assert_eq!(width("\u{202e}日本"), "<U+202E>".len() + 4);
    }

    #[test]
    fn a_sequence_is_not_cut() {
        assert_eq!(cut("ab\u{1b}[31mcd", 3), ("ab\u{1b}[31mc", "d"));
        assert_eq!(cut("a\u{7}b", 2), ("a", "\u{7}b"));
        assert_eq!(cut("日本", 3), ("日", "本"));
        assert_eq!(cut_start("ab\u{1b}[31mcd\u{7}", 3), "d\u{7}");
        assert_eq!((cut_start("日本", 3), cut_start("abc", 9)), ("本", "abc"));
    }

    #[test]
    fn lines_break_at_words() {
        assert_eq!(wrap("the session of 'work' is gone", 12, 0), ["the session", "of 'work' is", "gone"]);
        assert_eq!(wrap("abcd efgh", 4, 0), ["abcd", "efgh"]);
        assert_eq!(wrap("  1. one two three", 10, 3), ["  1. one", "     two", "     three"]);
        assert_eq!(wrap("see https://example.com/x", 10, 0), ["see", "https://ex", "ample.com/", "x"]);
        assert_eq!(wrap("name  some words elsewhere", 12, 6), ["name  some", "   words", "   elsewhere"]);
        assert_eq!(wrap("one\r\n\ntwo", 10, 0), ["one", "", "two"]);
        assert_eq!(wrap("日本", 1, 0), ["日", "本"]);
        assert_eq!(wrap("the password: ", 13, 0), ["the password:"]);
    }

    #[test]
    fn a_long_text_is_wrapped_at_once() {
        let since = std::time::Instant::now();
        assert_eq!(wrap(&"x".repeat(1 << 18), 64, 0).len(), 1 << 12);
        assert!(since.elapsed() < std::time::Duration::from_secs(10), "{:?}", since.elapsed());
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_word_is_lost(text in "( |[a-zé日]{1,6}|\\x1b\\[31m|\\x07){0,30}", columns in 8usize..40) {
            let lines = wrap(&text, columns, 2);
            for line in &lines {
                prop_assert!(width(line) <= columns, "{line:?}");
            }
            let bare = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(bare(&lines.concat()), bare(&text));
        }
    }
}
