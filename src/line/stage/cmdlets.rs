//! Names, parameters and roles of the local cmdlets.

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::{content, csv, date, file, folder, search};
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::syntax::CommandLine;

/// Names and aliases of the local cmdlets.
const NAMES: [(&str, &str); 71] = [
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
    ("get-date", "Get-Date"),
    ("cat", "Get-Content"),
    ("type", "Get-Content"),
    ("set-content", "Set-Content"),
    ("add-content", "Add-Content"),
    ("ac", "Add-Content"),
    ("get-childitem", "Get-ChildItem"),
    ("gci", "Get-ChildItem"),
    ("ls", "Get-ChildItem"),
    ("dir", "Get-ChildItem"),
    ("get-location", "Get-Location"),
    ("gl", "Get-Location"),
    ("pwd", "Get-Location"),
    ("set-location", "Set-Location"),
    ("sl", "Set-Location"),
    ("cd", "Set-Location"),
    ("chdir", "Set-Location"),
    ("write-output", "Write-Output"),
    ("write", "Write-Output"),
    ("echo", "Write-Output"),
    ("write-host", "Write-Host"),
    ("read-host", "Read-Host"),
    ("start-sleep", "Start-Sleep"),
    ("sleep", "Start-Sleep"),
    ("tee-object", "Tee-Object"),
    ("tee", "Tee-Object"),
    ("convertfrom-json", "ConvertFrom-Json"),
    ("convertfrom-csv", "ConvertFrom-Csv"),
    ("select-string", "Select-String"),
    ("sls", "Select-String"),
    ("get-history", "Get-History"),
    ("history", "Get-History"),
    ("ghy", "Get-History"),
    ("h", "Get-History"),
    ("start-transcript", "Start-Transcript"),
    ("stop-transcript", "Stop-Transcript"),
    ("more", "more"),
];

/// Common aliases of commands that are not local cmdlets.
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

/// Returns the aliases of a local cmdlet.
pub fn aliases(name: &str) -> impl Iterator<Item = &'static str> {
    let is_alias = move |known: &&str, of: &str| *known != of.to_lowercase();
    let name = name.to_owned();
    NAMES.iter().filter(move |(known, of)| *of == name && is_alias(known, of)).map(|(known, _)| *known)
}

/// Resolves an alias of a remote command.
pub fn remote_name(name: &str) -> &str {
    ALIASES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(name, |(_, name)| *name)
}

/// Returns all aliases with the commands that they name.
pub fn all_aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.iter().filter(|(known, name)| !known.eq_ignore_ascii_case(name)).chain(&ALIASES).copied()
}

/// Returns the parameters of a cmdlet in positional order; `None` if it parses its arguments itself.
pub fn parameters(name: &str) -> Option<Vec<Parameter>> {
    use ParameterKind::{Named, Positional, Switch};
    let own: &[Parameter] = match name {
        "Select-Object" => &[
            ("Property", Positional),
            ("First", Named),
            ("Last", Named),
            ("Skip", Named),
            ("ExpandProperty", Named),
            ("ExcludeProperty", Named),
            ("Unique", Switch),
        ],
        "Sort-Object" => &[
            ("Property", Positional),
            ("Descending", Switch),
            ("Unique", Switch),
            ("CaseSensitive", Switch),
            ("Top", Named),
            ("Bottom", Named),
        ],
        "ForEach-Object" => &[("MemberName", Positional), ("Process", Named)],
        "Measure-Object" => &[
            ("Property", Positional),
            ("Sum", Switch),
            ("Average", Switch),
            ("Maximum", Switch),
            ("Minimum", Switch),
            ("StandardDeviation", Switch),
            ("AllStats", Switch),
        ],
        "Group-Object" => &[("Property", Positional), ("NoElement", Switch), ("CaseSensitive", Switch)],
        "Format-Table" => &[
            ("Property", Positional),
            ("AutoSize", Switch),
            ("Wrap", Switch),
            ("HideTableHeaders", Switch),
            ("GroupBy", Named),
        ],
        "Format-List" => &[("Property", Positional), ("GroupBy", Named)],
        "ConvertTo-Json" => {
            &[("Depth", Named), ("Compress", Switch), ("AsArray", Switch), ("EnumsAsStrings", Switch)]
        }
        "ConvertTo-Csv" => &csv::COMMON,
        "Export-Csv" => {
            let own = [("Path", Positional), ("LiteralPath", Named)];
            return Some([own.as_slice(), &csv::COMMON, &file::COMMON].concat());
        }
        "Out-File" => {
            let own =
                [("FilePath", Positional), ("LiteralPath", Named), ("Width", Named), ("NoNewline", Switch)];
            return Some([own.as_slice(), &file::COMMON].concat());
        }
        "Out-String" => &[("Width", Named), ("Stream", Switch)],
        "Out-Null" => &[],
        "Out-Host" => &[("Paging", Switch)],
        "more" => &[("Path", Positional)],
        "Get-Member" => &[("Name", Positional), ("MemberType", Named)],
        "Import-Csv" => &[
            ("Path", Positional),
            ("Delimiter", Positional),
            ("LiteralPath", Named),
            ("Header", Named),
            ("Encoding", Named),
        ],
        "Get-Content" => &content::GET,
        "Set-Content" | "Add-Content" => &content::SET,
        "Get-Date" => &date::PARAMETERS,
        "Get-ChildItem" => &folder::CHILDREN,
        "Get-Location" => &[],
        "Set-Location" => &[("Path", Positional), ("LiteralPath", Named), ("PassThru", Switch)],
        "Write-Output" => &[("InputObject", ParameterKind::Remaining), ("NoEnumerate", Switch)],
        "Write-Host" => &[
            ("Object", ParameterKind::Remaining),
            ("NoNewline", Switch),
            ("Separator", Named),
            ("ForegroundColor", Named),
            ("BackgroundColor", Named),
        ],
        "Read-Host" => &[("Prompt", Positional), ("AsSecureString", Switch), ("MaskInput", Switch)],
        "Start-Sleep" => &[("Seconds", Positional), ("Milliseconds", Named), ("Duration", Named)],
        "Tee-Object" => &[
            ("FilePath", Positional),
            ("LiteralPath", Named),
            ("Variable", Named),
            ("Append", Switch),
            ("Encoding", Named),
        ],
        "ConvertFrom-Json" => {
            &[("InputObject", Positional), ("AsHashtable", Switch), ("NoEnumerate", Switch)]
        }
        "ConvertFrom-Csv" => &[("InputObject", Positional), ("Delimiter", Positional), ("Header", Named)],
        "Select-String" => &search::PARAMETERS,
        "Get-History" => &[("Id", Positional), ("Count", Positional)],
        "Start-Transcript" => &[
            ("Path", Positional),
            ("LiteralPath", Named),
            ("OutputDirectory", Named),
            ("Append", Switch),
            ("NoClobber", Switch),
            ("Force", Switch),
            ("UseMinimalHeader", Switch),
        ],
        "Stop-Transcript" => &[],
        _ => return None,
    };
    Some(own.to_vec())
}

/// Parts of a pipeline that a cmdlet can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Processes the objects of the command before it.
    Stage,
    /// Produces values and takes no pipeline input.
    Source,
    /// Produces values as the first command, and processes objects otherwise.
    Either,
    /// Uses the terminal or the state of the console, and is run by the console, not as a stage.
    Host,
}

/// Returns the role of a cmdlet by its full name.
pub fn role(name: &str) -> Role {
    match name {
        "Import-Csv" | "Get-ChildItem" | "Get-Location" => Role::Source,
        "Get-Content" | "Get-Date" | "Write-Output" | "ConvertFrom-Json" | "ConvertFrom-Csv"
        | "Select-String" => Role::Either,
        "Set-Location" | "Write-Host" | "Read-Host" | "Start-Sleep" | "Get-History" | "Start-Transcript"
        | "Stop-Transcript" | "more" => Role::Host,
        _ => Role::Stage,
    }
}

/// Binds the arguments of a cmdlet.
pub fn bound(
    name: &'static str,
    command: &CommandLine,
    variables: &Variables,
) -> Result<BoundParameters, LineError> {
    BoundParameters::new(name, command, &parameters(name).unwrap_or_default(), variables)
}
