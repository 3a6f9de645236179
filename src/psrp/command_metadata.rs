//! An endpoint's commands with their parameters: the response to GET_COMMAND_METADATA (MS-PSRP 2.2.3.22,
//! 2.2.3.23).

use serde::{Deserialize, Serialize};

use super::clixml::Value;
use super::pipeline::{Argument, MetadataQuery, Pipeline, PipelineCommand};

/// One command. The endpoint reports names, types and aliases of the parameters, but neither parameter sets
/// nor positions nor mandatory parameters (seen in PowerShell 7.6.9; `types.ps1xml`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandMetadata {
    pub name: String,
    /// The target of an alias; `None` for every other command.
    pub alias_of: Option<String>,
    /// Whether the command is a cmdlet, not a function; used for help.
    pub is_cmdlet: bool,
    pub parameters: Vec<ParameterMetadata>,
}

/// One parameter of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterMetadata {
    pub name: String,
    /// The full name of its .NET type on the endpoint, such as `System.Int32`.
    pub type_name: String,
    pub aliases: Vec<String>,
    pub is_switch: bool,
}

/// CommandTypes.Alias (MS-PSRP 2.2.3.19).
const ALIAS: i64 = 1;
/// CommandTypes.Cmdlet.
const CMDLET: i64 = 8;

/// Returns the pipeline that lists the names of all commands, `Get-Command | Select-Object Name`: far less
/// work than their metadata. [`name`] reads its output.
pub fn names() -> Pipeline {
    let mut select = PipelineCommand::new("Select-Object");
    select.arguments.push(Argument::named("Property", "Name"));
    Pipeline::new(vec![PipelineCommand::new("Get-Command"), select])
}

/// Reads the name from an output object of [`names`].
pub fn name(value: &Value) -> Option<String> {
    text(value.property("Name")?)
}

impl CommandMetadata {
    /// Returns the query of Import-PSSession: aliases, functions, filters, cmdlets and configurations.
    pub fn query(names: impl IntoIterator<Item = String>) -> MetadataQuery {
        MetadataQuery {
            names: names.into_iter().collect(),
            command_type: 271,
            namespace: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Reads one output object of the response. `None` for the count object that comes first, and for any
    /// object without a command's name.
    pub fn read(value: &Value) -> Option<Self> {
        let name = name(value)?;
        let kind = value.property("CommandType").and_then(Value::as_i64);
        let alias_of = value.property("ResolvedCommandName").and_then(text).filter(|_| kind == Some(ALIAS));
        let table = value.property("Parameters").and_then(Value::entries).unwrap_or_default();
        let parameters =
            table.iter().filter_map(|(key, value)| ParameterMetadata::read(key, value)).collect();
        Some(Self { name, alias_of, is_cmdlet: kind == Some(CMDLET), parameters })
    }
}

impl ParameterMetadata {
    fn read(key: &Value, value: &Value) -> Option<Self> {
        let type_name = value.property("ParameterType").and_then(text).unwrap_or_default();
        let aliases = value.property("Aliases").and_then(Value::items).unwrap_or_default();
        let is_switch = value.property("SwitchParameter").and_then(Value::as_bool).unwrap_or(false);
        Some(Self {
            name: text(key)?,
            is_switch: is_switch || type_name == "System.Management.Automation.SwitchParameter",
            type_name,
            aliases: aliases.iter().filter_map(text).collect(),
        })
    }
}

/// Returns the text of a value, `None` if it is empty.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = value.display_text();
    (!text.is_empty()).then_some(text)
}
