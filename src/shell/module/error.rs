//! What fails when a module is written.

use std::path::PathBuf;

use crate::exports::ExportError;

/// Why there is no module.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ModuleError {
    #[error("the PowerShell module can't be written: {}: {error}", .path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("the path {} can't be written into a script: it is not Unicode", .path.display())]
    NotUnicode { path: PathBuf },
    #[error("the template {name} can't be rendered: {error}")]
    #[diagnostic(help(
        "a template of your own is in the folder `templates/powershell` of the configuration folder; remove it to have lyncsh's"
    ))]
    Template { name: &'static str, error: minijinja::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Export(#[from] ExportError),
}
