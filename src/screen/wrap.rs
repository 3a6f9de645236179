//! Display width, truncation and wrapping of text.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::clean::{Part, Parts, visible};

/// Minimum width of a terminal for the layout of text.
const NARROWEST: usize = 20;

/// Returns the columns of a text after [`super::clean`].
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

/// Splits `text` after the longest start that fits in `columns`. Escape sequences are not split.
pub fn cut(text: &str, columns: usize) -> (&str, &str) {
    // Avoids reading the whole text for each of its lines.
    let window = &text[..text.floor_char_boundary(columns.saturating_mul(4).saturating_add(64))];
    let at =
        exceeds(window, columns).or_else(|| (window.len() < text.len()).then(|| exceeds(text, columns))?);
    text.split_at(at.unwrap_or(text.len()))
}

/// Returns the index at which a text becomes wider than `columns`.
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

/// Returns the longest end of `text` that fits in `columns`.
pub fn cut_start(text: &str, columns: usize) -> &str {
    let Some(over) = width(text).checked_sub(columns) else { return text };
    // The shortest start that is at least as wide as the excess.
    let (before, after) = cut(text, over);
    if width(before) < over { &after[first(after).len()..] } else { after }
}

/// Returns the first character or escape sequence of a text.
fn first(text: &str) -> &str {
    let length = Parts(text).next().map_or(0, |part| match part {
        Part::Text(run) => run.chars().next().map_or(0, char::len_utf8),
        part => part.len(),
    });
    &text[..length]
}

/// Wraps a text into lines of at most `columns`. A word is split only if it does not fit in a line.
/// Continuation lines have the indentation of the line and `hang` more columns.
pub fn wrap(text: &str, columns: usize, hang: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let widest = line.split(' ').map(width).max().unwrap_or(0);
        // A word that only fits without indentation is not indented.
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

/// Splits `text` into a line of this width and the rest. Returns `None` if the whole text fits.
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
        // Leading spaces are the indentation of the line.
        Some(at) if at > words => (fits[..at].trim_end_matches(' '), &text[at + 1..]),
        _ if fits.is_empty() => text.split_at(first(text).len()),
        _ => (fits, over),
    })
}

/// Formats a message for a terminal with this many columns.
pub fn wrapped(text: &str, columns: usize, hang: usize) -> String {
    wrap(text, columns.max(NARROWEST), hang).join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn width_is_the_displayed_width() {
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
