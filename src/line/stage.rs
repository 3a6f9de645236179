//! Local cmdlets, which process objects as they arrive.

mod bind;
pub mod cmdlets;
mod content;
pub mod csv;
mod date;
mod each;
mod file;
mod filter;
mod folder;
pub mod format;
mod gather;
pub mod host;
mod input;
pub mod json;
mod kinds;
mod members;
pub mod parse_json;
pub mod path;
pub mod property;
mod search;
mod select;
mod source;
mod tee;

pub use bind::{Parameter, ParameterKind};
pub use cmdlets::{
    Role, aliases, all_aliases, bound, is_local, local_cmdlets, local_name, parameters, remote_name, role,
};
pub use date::now;
pub use each::{Stage, everything, nothing};
pub use file::{ENCODING_NAMES, File, drawn};
pub use input::SourceOutput;
pub use kinds::{ITEM_TYPES, MATCH, is_local_file};
pub use source::read as source;

use tokio_util::sync::CancellationToken;

use super::error::LineError;
use super::evaluate::Variables;
use super::syntax::CommandLine;
use super::views::Views;

/// Environment of a stage.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    pub variables: &'a Variables,
    pub views: &'a Views,
    /// Columns of the screen.
    pub width: usize,
    /// Set if the statement's objects go to the screen, not to a value.
    pub to_screen: bool,
    /// Ends the reading of files when cancelled.
    pub stop: &'a CancellationToken,
}

/// Checks the binding of arguments without their values. The error has the index of the argument.
pub fn check(name: &str, command: &CommandLine, parameters: &[Parameter]) -> Result<(), (usize, LineError)> {
    bind::bindings(name, command, parameters).map(drop)
}

/// Builds a stage and binds its arguments.
pub fn build(
    name: &'static str,
    command: &CommandLine,
    context: PlanContext<'_>,
) -> Result<Box<dyn Stage>, LineError> {
    let bound = || bound(name, command, context.variables);
    let PlanContext { width, views, .. } = context;
    // The last column stays free, so the terminal does not wrap.
    let screen = width.saturating_sub(1).max(1);
    Ok(match name {
        "Select-Object" => select::select(&bound()?)?,
        "Where-Object" => filter::filter(command, context.variables)?,
        "Sort-Object" => gather::sort(&bound()?)?,
        "ForEach-Object" => select::for_each(&bound()?)?,
        "Measure-Object" => gather::measure(bound()?),
        "Group-Object" => gather::group(&bound()?)?,
        "Format-Table" => format::formatted(bound()?, false, screen, views.clone()),
        "Format-List" => format::formatted(bound()?, true, screen, views.clone()),
        "ConvertTo-Json" => json::json(&bound()?)?,
        "ConvertTo-Csv" => csv::convert(&bound()?)?,
        "Export-Csv" => csv::export(&bound()?)?,
        "Out-File" => file::out_file(&bound()?, width, views)?,
        "Out-String" => format::out_string(&bound()?, width, views)?,
        "Out-Null" => {
            bound()?;
            nothing()
        }
        "Out-Host" => {
            bound()?;
            everything()
        }
        "Get-Member" => members::members(&bound()?)?,
        "Get-Content" => content::of_items(bound()?),
        "Set-Content" | "Add-Content" => content::set(&bound()?)?,
        "Get-Date" => date::of_input(bound()?),
        "Write-Output" => {
            bound()?;
            everything()
        }
        "ConvertFrom-Json" => parse_json::convert(bound()?)?,
        "ConvertFrom-Csv" => source::convert_csv(bound()?),
        "Select-String" => search::of_input(&bound()?)?,
        "Tee-Object" => tee::tee(&bound()?, width, views)?,
        other => return Err(LineError::script(&format!("{other} here"))),
    })
}
