//! Errors in PowerShell's wording.

use crate::psrp::record::ErrorRecord;

/// Error of parsing or running a line, with the text for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LineError(pub String);

const NEEDS_ENGINE: &str = "needs PowerShell's script engine, which the console does not have.";

impl LineError {
    /// Returns the error for a construct that needs a script engine.
    pub fn script(what: &str) -> Self {
        Self(format!("{what} {NEEDS_ENGINE}"))
    }

    /// Returns whether PowerShell itself could run the line.
    pub fn needs_engine(&self) -> bool {
        self.0.ends_with(NEEDS_ENGINE)
    }
}

/// Formats an error record as ConciseView: `Get-CsNothing: The term 'Get-CsNothing' is not recognized …`.
pub fn render(record: &ErrorRecord) -> String {
    let message = record.details.as_deref().filter(|text| !text.is_empty()).unwrap_or(&record.message);
    let command =
        record.command.as_deref().or(Some(record.category_activity.as_str())).filter(|name| !name.is_empty());
    match command {
        Some(command) if !message.starts_with(command) => format!("{command}: {message}"),
        _ => message.to_owned(),
    }
}

/// Returns the original error of a record that -ErrorAction Stop has wrapped; other records unchanged.
pub fn unwrapped(record: &ErrorRecord) -> ErrorRecord {
    const MARK: &str = "common parameter is set to Stop: ";
    let bare = |text: &str| text.split_once(MARK).map(|(_, rest)| rest.to_owned());
    let Some(message) = bare(&record.message) else { return record.clone() };
    let mut record = record.clone();
    record.message = message;
    record.details = record.details.as_deref().map(|text| bare(text).unwrap_or_else(|| text.to_owned()));
    // The original object has the old text. Without it, the changed fields are serialized.
    record.value = crate::psrp::clixml::Value::Null;
    record
}
