//! Texts in columns of the screen: cut, filled up, broken into lines.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for what was cut.
pub const ELLIPSIS: &str = "…";

/// A table's cell is one line; what follows is cut.
pub fn one_line(text: &str) -> String {
    match text.split_once(['\r', '\n']) {
        Some((first, _)) => format!("{first}{ELLIPSIS}"),
        None => text.to_owned(),
    }
}

/// A text in exactly `width` columns, cut with an ellipsis where it is wider: at its end, or at its
/// beginning where it stands right.
pub fn fit(text: &str, width: usize, right: bool) -> String {
    let mut shown = text.to_owned();
    // No room is left for the ellipsis.
    if shown.width() > width && width == 1 {
        shown = cut(text, 1).0.to_owned();
    } else if shown.width() > width && right {
        let turned: String = text.chars().rev().collect();
        shown = ELLIPSIS.chars().chain(cut(&turned, width.saturating_sub(1)).0.chars().rev()).collect();
    } else if shown.width() > width {
        shown = cut(text, width.saturating_sub(1)).0.to_owned();
        shown.push_str(ELLIPSIS);
    }
    let pad = " ".repeat(width.saturating_sub(shown.width()));
    if right { format!("{pad}{shown}") } else { format!("{shown}{pad}") }
}

/// The longest beginning of `text` that fits in `width` columns, and the rest.
fn cut(text: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        used += letter.width().unwrap_or(0);
        if used > width {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// A text in lines of at most `width` columns, broken at spaces where there are any.
pub fn wrap_text(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut rest = line.trim_end_matches('\r');
        while rest.width() > width {
            let (fits, _) = cut(rest, width);
            if fits.is_empty() {
                break;
            }
            let (now, later) = match fits.rfind(' ') {
                Some(at) if at > 0 => (&rest[..at], rest[at..].trim_start_matches(' ')),
                _ => rest.split_at(fits.len()),
            };
            lines.push(now.to_owned());
            rest = later;
        }
        lines.push(rest.to_owned());
    }
    lines
}
