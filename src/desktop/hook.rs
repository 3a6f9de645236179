//! Lines of the startup hook: they add the modules' folder to PSModulePath, so that the first call of a
//! cmdlet connects, or import modules immediately. Pure.

use minijinja::context;

use super::Templates;
use crate::quote::powershell::ascii;

/// Separator of the folders of PSModulePath. The .NET property for it is an error in constrained language
/// mode.
const SEPARATOR: &str = if cfg!(windows) { "';'" } else { "':'" };

/// Renders the lines, in ASCII. `root` is the modules' folder, `scripts` are the paths of modules to import.
///
/// # Errors
/// The template cannot be rendered.
pub fn lines(templates: &Templates, root: &str, scripts: &[&str]) -> Result<String, minijinja::Error> {
    let scripts: Vec<String> = scripts.iter().map(|script| ascii(script)).collect();
    templates.render("powershell/hook.ps1", context! { root => ascii(root), scripts, separator => SEPARATOR })
}
