//! Text measured in screen columns: cutting, padding, wrapping.

use crate::screen::{RESET, cut, cut_start, is_open, width as columns, wrap};

/// Mark of cut text.
pub const ELLIPSIS: &str = "…";

/// Cuts a text to its first line for a table cell.
pub fn one_line(text: &str) -> String {
    match text.split_once(['\r', '\n']) {
        Some((first, _)) => format!("{first}{ELLIPSIS}"),
        None => text.to_owned(),
    }
}

/// Fits a text to exactly `width` columns. Wider text is cut at its end, with an ellipsis. `right`: align the text to
/// the right, and cut it at its beginning.
pub fn fit(text: &str, width: usize, right: bool) -> String {
    let mut shown = text.to_owned();
    let is_cut = columns(text) > width;
    // There is no space for the ellipsis.
    if is_cut && width == 1 {
        shown = cut(text, 1).0.to_owned();
    } else if is_cut && right {
        shown = format!("{ELLIPSIS}{}", cut_start(text, width.saturating_sub(1)));
    } else if is_cut {
        shown = cut(text, width.saturating_sub(1)).0.to_owned();
        shown.push_str(ELLIPSIS);
    }
    // Colours end with their cell.
    if is_open(&shown) {
        shown.push_str(RESET);
    }
    let pad = " ".repeat(width.saturating_sub(columns(&shown)));
    if right { format!("{pad}{shown}") } else { format!("{shown}{pad}") }
}

/// Wraps a text to lines of at most `width` columns, at spaces where possible.
pub fn wrap_text(text: &str, width: usize) -> Vec<String> {
    wrap(text, width, 0)
}
