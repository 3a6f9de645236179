//! Completion of the word at the cursor.

use std::ops::Range;

/// A span of a line and the kind of its candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Byte range that a candidate replaces.
    pub span: Range<usize>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A command with this prefix.
    Command(String),
    /// A parameter of a command; the prefix is without the dash.
    Parameter {
        command: String,
        prefix: String,
    },
    Nothing,
}

/// Analyses the text before the cursor (in bytes).
pub fn complete(text: &str, cursor: usize) -> Completion {
    let before = text.get(..cursor).unwrap_or(text);
    let segment = before.rfind(['|', ';', '\n', '=', '(', '{']).map_or(before, |at| &before[at + 1..]);
    let word = segment.rsplit(char::is_whitespace).next().unwrap_or_default();
    let span = before.len() - word.len()..before.len();
    let command = segment.split_whitespace().next().unwrap_or_default();
    let is_first = segment.trim_start().len() == word.len();
    let what = match word.strip_prefix('-') {
        _ if is_first && !word.starts_with('$') => What::Command(word.to_owned()),
        Some(prefix) => What::Parameter { command: command.to_owned(), prefix: prefix.to_owned() },
        None => What::Nothing,
    };
    Completion { span, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_first_and_parameters_after_them() {
        let at_end = |text: &str| complete(text, text.len());
        assert_eq!(at_end("Get-CsT").what, What::Command("Get-CsT".into()));
        assert_eq!(at_end("Get-CsTenant | sel").what, What::Command("sel".into()));
        let parameter = What::Parameter { command: "Set-CsUser".into(), prefix: "Ent".into() };
        assert_eq!(at_end("Set-CsUser kenmyer -Ent"), Completion { span: 19..23, what: parameter });
        assert_eq!(at_end("Set-CsUser ken").what, What::Nothing);
    }
}
