//! Errors as PowerShell words them.

use crate::psrp::record::ErrorRecord;

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
