//! What the startup hook has PowerShell do: know the modules' folder, so that the first call of a cmdlet
//! connects; or import modules at once. Pure.

use minijinja::context;

use super::Templates;
use crate::quote::powershell::ascii;

/// Between the folders of PSModulePath. Asked of .NET, a PowerShell in constrained language mode would
/// complain at every start.
const SEPARATOR: &str = if cfg!(windows) { "';'" } else { "':'" };

/// The lines, in ASCII. `root` is the modules' folder, `scripts` are the paths of those to import.
///
/// # Errors
/// The template can't be rendered.
pub fn lines(templates: &Templates, root: &str, scripts: &[&str]) -> Result<String, minijinja::Error> {
    let scripts: Vec<String> = scripts.iter().map(|script| ascii(script)).collect();
    templates.render("powershell/hook.ps1", context! { root => ascii(root), scripts, separator => SEPARATOR })
}
