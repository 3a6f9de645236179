//! Errors as PowerShell words them.

use crate::psrp::record::ErrorRecord;

/// Why a line can't be run, or can't go on. The text is what the person is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LineError(pub String);

const NEEDS_ENGINE: &str = "needs PowerShell's script engine, which the console does not have.";

impl LineError {
    /// What only a script engine can do.
    pub fn script(what: &str) -> Self {
        Self(format!("{what} {NEEDS_ENGINE}"))
    }

    /// Whether PowerShell itself could run it.
    pub fn needs_engine(&self) -> bool {
        self.0.ends_with(NEEDS_ENGINE)
    }
}

/// `Get-CsNothing: The term 'Get-CsNothing' is not recognized …`, as ConciseView has it.
pub fn render(record: &ErrorRecord) -> String {
    let message = record.details.as_deref().filter(|text| !text.is_empty()).unwrap_or(&record.message);
    let command =
        record.command.as_deref().or(Some(record.category_activity.as_str())).filter(|name| !name.is_empty());
    match command {
        Some(command) if !message.starts_with(command) => format!("{command}: {message}"),
        _ => message.to_owned(),
    }
}

/// What -ErrorAction Stop makes of an error, as the error that it was; another as it is.
pub fn unwrapped(record: &ErrorRecord) -> ErrorRecord {
    const MARK: &str = "common parameter is set to Stop: ";
    let bare = |text: &str| text.split_once(MARK).map(|(_, rest)| rest.to_owned());
    let Some(message) = bare(&record.message) else { return record.clone() };
    let mut record = record.clone();
    record.message = message;
    record.details = record.details.as_deref().map(|text| bare(text).unwrap_or_else(|| text.to_owned()));
    // It is written anew.
    record.value = crate::psrp::clixml::Value::Null;
    record
}
