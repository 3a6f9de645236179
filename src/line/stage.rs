//! Local cmdlets, which process objects as they arrive.

mod bind;
pub mod csv;
mod each;
mod file;
mod filter;
pub mod format;
mod gather;
pub mod json;
mod members;
pub mod property;
mod select;
mod source;

pub use each::{Stage, everything, nothing};
pub use file::{File, drawn};
pub use source::read as source;

use bind::{Bound, Parameter, Takes};

use super::error::LineError;
use super::evaluate::Variables;
use super::syntax::CommandLine;
use super::views::Views;

/// Names and aliases of the local cmdlets.
const NAMES: [(&str, &str); 34] = [
    ("select-object", "Select-Object"),
    ("select", "Select-Object"),
    ("where-object", "Where-Object"),
    ("where", "Where-Object"),
    ("?", "Where-Object"),
    ("sort-object", "Sort-Object"),
    ("sort", "Sort-Object"),
    ("foreach-object", "ForEach-Object"),
    ("foreach", "ForEach-Object"),
    ("%", "ForEach-Object"),
    ("measure-object", "Measure-Object"),
    ("measure", "Measure-Object"),
    ("group-object", "Group-Object"),
    ("group", "Group-Object"),
    ("format-table", "Format-Table"),
    ("ft", "Format-Table"),
    ("format-list", "Format-List"),
    ("fl", "Format-List"),
    ("convertto-json", "ConvertTo-Json"),
    ("convertto-csv", "ConvertTo-Csv"),
    ("export-csv", "Export-Csv"),
    ("epcsv", "Export-Csv"),
    ("out-file", "Out-File"),
    ("out-string", "Out-String"),
    ("out-null", "Out-Null"),
    ("import-csv", "Import-Csv"),
    ("ipcsv", "Import-Csv"),
    ("get-content", "Get-Content"),
    ("gc", "Get-Content"),
    ("out-host", "Out-Host"),
    ("oh", "Out-Host"),
    ("out-default", "Out-Host"),
    ("get-member", "Get-Member"),
    ("gm", "Get-Member"),
];

/// Common aliases of commands that run on the endpoint.
const ALIASES: [(&str, &str); 5] = [
    ("gcm", "Get-Command"),
    ("help", "Get-Help"),
    ("man", "Get-Help"),
    ("cls", "Clear-Host"),
    ("clear", "Clear-Host"),
];

/// Returns the local cmdlet of a name or alias.
pub fn local_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, name)| *name)
}

/// Returns whether a command of this name runs locally.
pub fn is_local(name: &str) -> bool {
    local_name(name).is_some()
}

/// Returns the full names of the local cmdlets.
pub fn local_cmdlets() -> impl Iterator<Item = &'static str> {
    NAMES.iter().filter(|(known, name)| known.eq_ignore_ascii_case(name)).map(|(_, name)| *name)
}

/// Resolves an alias of a remote command.
pub fn remote_name(name: &str) -> &str {
    ALIASES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(name, |(_, name)| *name)
}

/// Environment of a stage.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    pub variables: &'a Variables,
    pub views: &'a Views,
    /// Columns of the screen.
    pub width: usize,
    /// Set if the statement's objects go to the screen, not to a value.
    pub to_screen: bool,
}

/// Returns the parameters of a cmdlet in positional order; `None` if it parses its arguments itself.
pub fn parameters(name: &str) -> Option<Vec<Parameter>> {
    use Takes::{Named, Position, Switch};
    let own: &[Parameter] = match name {
        "Select-Object" => &[
            ("Property", Position),
            ("First", Named),
            ("Last", Named),
            ("Skip", Named),
            ("ExpandProperty", Named),
            ("ExcludeProperty", Named),
            ("Unique", Switch),
        ],
        "Sort-Object" => &[
            ("Property", Position),
            ("Descending", Switch),
            ("Unique", Switch),
            ("CaseSensitive", Switch),
            ("Top", Named),
            ("Bottom", Named),
        ],
        "ForEach-Object" => &[("MemberName", Position), ("Process", Named)],
        "Measure-Object" => &[
            ("Property", Position),
            ("Sum", Switch),
            ("Average", Switch),
            ("Maximum", Switch),
            ("Minimum", Switch),
            ("StandardDeviation", Switch),
            ("AllStats", Switch),
        ],
        "Group-Object" => &[("Property", Position), ("NoElement", Switch), ("CaseSensitive", Switch)],
        "Format-Table" => &[
            ("Property", Position),
            ("AutoSize", Switch),
            ("Wrap", Switch),
            ("HideTableHeaders", Switch),
            ("GroupBy", Named),
        ],
        "Format-List" => &[("Property", Position), ("GroupBy", Named)],
        "ConvertTo-Json" => {
            &[("Depth", Named), ("Compress", Switch), ("AsArray", Switch), ("EnumsAsStrings", Switch)]
        }
        "ConvertTo-Csv" => &csv::COMMON,
        "Export-Csv" => {
            let own = [("Path", Position), ("LiteralPath", Named)];
            return Some([own.as_slice(), &csv::COMMON, &file::COMMON].concat());
        }
        "Out-File" => {
            let own =
                [("FilePath", Position), ("LiteralPath", Named), ("Width", Named), ("NoNewline", Switch)];
            return Some([own.as_slice(), &file::COMMON].concat());
        }
        "Out-String" => &[("Width", Named), ("Stream", Switch)],
        "Out-Null" => &[],
        "Out-Host" => &[("Paging", Switch)],
        "Get-Member" => &[("Name", Position), ("MemberType", Named)],
        "Import-Csv" => &[
            ("Path", Position),
            ("Delimiter", Position),
            ("LiteralPath", Named),
            ("Header", Named),
            ("Encoding", Named),
        ],
        "Get-Content" => &[("Path", Position), ("LiteralPath", Named), ("Encoding", Named), ("Raw", Switch)],
        _ => return None,
    };
    Some(own.to_vec())
}

/// Returns whether a cmdlet produces values and takes no pipeline input.
pub fn begins_pipeline(name: &str) -> bool {
    matches!(name, "Import-Csv" | "Get-Content")
}

/// Checks the binding of arguments without their values. The error has the index of the argument.
pub fn check(name: &str, command: &CommandLine, parameters: &[Parameter]) -> Result<(), (usize, LineError)> {
    bind::bindings(name, command, parameters).map(drop)
}

/// Builds a stage and binds its arguments.
pub fn build(
    name: &'static str,
    command: &CommandLine,
    place: PlanContext<'_>,
) -> Result<Box<dyn Stage>, LineError> {
    let bound = || {
        let parameters = parameters(name).unwrap_or_default();
        Bound::new(name, command, &parameters, place.variables)
    };
    let PlanContext { width, views, .. } = place;
    // The last column stays free, so the terminal does not wrap.
    let screen = width.saturating_sub(1).max(1);
    Ok(match name {
        "Select-Object" => select::select(&bound()?)?,
        "Where-Object" => filter::filter(command, place.variables)?,
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
        _ => members::members(&bound()?)?,
    })
}
