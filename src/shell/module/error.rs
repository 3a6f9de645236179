//! Errors of writing a module.

use std::path::PathBuf;

use crate::exports::ExportError;

#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ModuleError {
    /// The cache folder cannot be written or cleaned, or a custom template cannot be read.
    #[error("cannot write the PowerShell module: {}: {error}", .path.display())]
    Write { path: PathBuf, error: std::io::Error },
    /// The path of lyncsh or of its folders has bytes that a PowerShell script cannot express.
    #[error("cannot use the path {} in a script: not Unicode", .path.display())]
    NotUnicode { path: PathBuf },
    /// A custom template has a syntax error, or uses a value that does not exist.
    #[error("cannot render the template {name}: {error}")]
    #[diagnostic(help(
        "correct or remove the custom template in `templates/powershell` of the configuration folder"
    ))]
    Template { name: &'static str, error: minijinja::Error },
    /// The exported commands could not be written: see `ExportError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Export(#[from] ExportError),
}
