//! Texts in columns of the screen: cut, filled up, broken into lines.

use crate::screen::{RESET, cut, cut_start, is_open, width as columns, wrap};

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
    let is_cut = columns(text) > width;
    // No room is left for the ellipsis.
    if is_cut && width == 1 {
        shown = cut(text, 1).0.to_owned();
    } else if is_cut && right {
        shown = format!("{ELLIPSIS}{}", cut_start(text, width.saturating_sub(1)));
    } else if is_cut {
        shown = cut(text, width.saturating_sub(1)).0.to_owned();
        shown.push_str(ELLIPSIS);
    }
    // The colour of a cell ends with it.
    if is_open(&shown) {
        shown.push_str(RESET);
    }
    let pad = " ".repeat(width.saturating_sub(columns(&shown)));
    if right { format!("{pad}{shown}") } else { format!("{shown}{pad}") }
}

/// A text in lines of at most `width` columns, broken at spaces where there are any.
pub fn wrap_text(text: &str, width: usize) -> Vec<String> {
    wrap(text, width, 0)
}
