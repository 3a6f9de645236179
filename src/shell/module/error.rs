//! Errors of writing a module.

use std::path::PathBuf;

use crate::exports::ExportError;

#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ModuleError {
    #[error("cannot write the PowerShell module: {}: {error}", .path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("cannot use the path {} in a script: not Unicode", .path.display())]
    NotUnicode { path: PathBuf },
    #[error("cannot render the template {name}: {error}")]
    #[diagnostic(help(
        "correct or remove the custom template in `templates/powershell` of the configuration folder"
    ))]
    Template { name: &'static str, error: minijinja::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Export(#[from] ExportError),
}
