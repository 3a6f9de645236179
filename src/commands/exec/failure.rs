//! Errors of lyncsh itself in the output of `lyncsh exec`.

use crate::profile::StoreError;
use crate::shell::console::exec::{ErrorFormat, write_failure};

/// Returns the text and the advice of an error; of a profile's mistakes, each with its line.
pub fn lines_of(report: &miette::Report) -> (String, Option<String>) {
    let text = match report.downcast_ref::<StoreError>() {
        Some(StoreError::Mistakes(mistakes)) => mistakes.lines_of_files().join("; "),
        _ => report.to_string(),
    };
    (text, report.help().map(|help| help.to_string()))
}

/// Writes an error of lyncsh itself to standard error.
pub fn report_line(errors: ErrorFormat, text: &str, help: Option<&str>) {
    match errors {
        ErrorFormat::Json => write_failure(text, help),
        ErrorFormat::Text => crate::errln!("{text}"),
    }
}
