//! Errors as PowerShell words them.

use crate::psrp::record::ErrorRecord;

/// Why a line can't be run, or can't go on. The text is what the person is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LineError(pub String);

impl LineError {
    /// What only a script engine can do.
    pub fn script(what: &str) -> Self {
        Self(format!(
            "{what} needs PowerShell's script engine, which the console does not have. Run it in pwsh."
        ))
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
