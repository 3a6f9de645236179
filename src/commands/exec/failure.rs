//! Errors of lyncsh itself in the output of `lyncsh exec`.

use crate::profile::StoreError;
use crate::screen::print_report;
use crate::shell::console::exec::ErrorFormat;

/// Returns the text and the advice of an error; of a profile's mistakes, each with its line.
pub fn lines_of(report: &miette::Report) -> (String, Option<String>) {
    let text = match report.downcast_ref::<StoreError>() {
        Some(StoreError::Mistakes(mistakes)) => mistakes.lines_of_files().join("; "),
        _ => report.to_string(),
    };
    (text, report.help().map(|help| help.to_string()))
}

/// Writes the error that ends the command.
pub fn show(report: &miette::Report, errors: ErrorFormat) {
    match errors {
        ErrorFormat::Json => {
            let (text, help) = lines_of(report);
            errors.report(&text, help.as_deref());
        }
        ErrorFormat::Text => print_report(report),
    }
}
