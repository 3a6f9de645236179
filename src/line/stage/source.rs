//! Local sources of a pipeline, and the conversion of CSV.

use tokio_util::sync::CancellationToken;

use super::bind::BoundParameters;
use super::cmdlets::{self, Role};
use super::each::{Stage, all};
use super::input::{SourceOutput, text_of};
use super::path::located;
use super::{content, date, folder, parse_json, search};
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::rows::{self, Row};
use crate::line::syntax::CommandLine;
use crate::psrp::clixml::Value;

/// Returns the output of a source cmdlet; `None` for other cmdlets, and for one that processes the output of
/// the command before it.
pub fn read(
    name: &'static str,
    command: &CommandLine,
    variables: &Variables,
    is_first: bool,
    stop: &CancellationToken,
) -> Option<Result<SourceOutput, LineError>> {
    match cmdlets::role(name) {
        Role::Source => {}
        Role::Either if is_first => {}
        _ => return None,
    }
    let mut bound = match cmdlets::bound(name, command, variables) {
        Ok(bound) => bound,
        Err(error) => return Some(Err(error)),
    };
    bound.stop = Some(stop.clone());
    let one = |value: Result<Value, LineError>| value.map(|value| SourceOutput::of(vec![value]));
    Some(match name {
        "Import-Csv" => import(&bound).map(SourceOutput::of),
        "Get-Content" => content::get(&bound),
        "Get-ChildItem" => folder::children(&bound),
        "Get-Location" => Ok(folder::location()),
        "Get-Date" => one(date::date(&bound, None)),
        "Write-Output" => written(&bound),
        "ConvertFrom-Json" => parse_json::source(&bound),
        "ConvertFrom-Csv" => bound
            .required("InputObject")
            .and_then(|_| table(&bound, &bound.names("InputObject").join("\n")).map(SourceOutput::of)),
        _ => search::files(&bound),
    })
}

/// Returns the output of Write-Output: its argument, or the items of a list.
fn written(bound: &BoundParameters) -> Result<SourceOutput, LineError> {
    let value = bound.required("InputObject")?.clone();
    Ok(SourceOutput::of(match value.items() {
        Some(items) if !bound.switch("NoEnumerate") => items.to_vec(),
        _ => vec![value],
    }))
}

/// Returns the stage of ConvertFrom-Csv.
pub fn convert_csv(bound: BoundParameters) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| {
        let text: Vec<String> = values.iter().map(Value::display_text).collect();
        table(&bound, &text.join("\n"))
    })
}

fn import(bound: &BoundParameters) -> Result<Vec<Value>, LineError> {
    let path = bound.text("Path").or_else(|| bound.text("LiteralPath")).filter(|path| !path.is_empty());
    let path = located(&path.ok_or_else(|| bound.wrong("-Path is missing: name the file."))?);
    table(bound, &text_of(bound, &path)?)
}

/// Returns an object for each row. Its properties are text, named by the first row or -Header.
fn table(bound: &BoundParameters, text: &str) -> Result<Vec<Value>, LineError> {
    let delimiter = bound.text("Delimiter").unwrap_or_else(|| ",".to_owned());
    let [delimiter] = *delimiter.as_bytes() else {
        return Err(bound.wrong(&format!(
            "Invalid delimiter \"{delimiter}\": expected one character, such as ';' or \"`t\"."
        )));
    };
    // As in PowerShell, an open quote ends at the end of the text (verified).
    let mut rows =
        rows::read(text, delimiter).map_err(|error| bound.wrong(&error.to_string()))?.rows.into_iter();
    let mut names = bound.names("Header");
    if names.is_empty() {
        let Some(first) = rows.next() else { return Ok(Vec::new()) };
        names = first.fields;
    }
    rows::fill_names(&mut names);
    if let Some(twice) = rows::repeated_name(&names) {
        return Err(bound.wrong(&format!(
            "The member \"{twice}\" is already present: two columns have this name. Rename one, or name all with -Header."
        )));
    }
    let object = |row: Row| {
        let cells = row.fields.into_iter().map(Value::String).chain(std::iter::repeat(Value::Null));
        Value::custom_object(names.iter().cloned().zip(cells))
    };
    Ok(rows.map(object).collect())
}
