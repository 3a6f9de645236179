//! What the startup hook has PowerShell do: know the modules' folder, so that the first call of a cmdlet
//! connects; or import modules at once. Pure.

use std::fmt::Write as _;

use minijinja::context;

use super::Templates;
use crate::shell::module::quote;

/// The lines, in ASCII. `root` is the modules' folder, `scripts` are the paths of those to import.
///
/// # Errors
/// The template can't be rendered.
pub fn lines(templates: &Templates, root: &str, scripts: &[&str]) -> Result<String, minijinja::Error> {
    let scripts: Vec<String> = scripts.iter().map(|script| ascii(script)).collect();
    templates.render("powershell/hook.ps1", context! { root => ascii(root), scripts => scripts })
}

/// A text as PowerShell source that means the same in any encoding, since a startup script has whichever
/// its owner chose: what is not ASCII is escaped, and .NET puts it back (`Regex.Unescape`; not tried).
fn ascii(text: &str) -> String {
    if text.chars().all(|letter| (' '..='~').contains(&letter)) {
        return quote(text);
    }
    let mut escaped = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'\\') => escaped.push_str(r"\\"),
            Ok(letter @ b' '..=b'~') => escaped.push(char::from(letter)),
            // Writing to a string doesn't fail.
            _ => drop(write!(escaped, "\\u{unit:04x}")),
        }
    }
    format!("([regex]::Unescape({}))", quote(&escaped))
}
