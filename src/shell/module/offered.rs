//! Queries for the commands of an endpoint: names, metadata and views of their types.

use serde::{Deserialize, Serialize};

use crate::exports::names::{NameCheck, RESTRICTED};
use crate::exports::prefixed;
use crate::profile::Import;
use crate::psrp::client::PipelineEvent;
use crate::psrp::clixml::Value;
use crate::psrp::command_metadata::{self, CommandMetadata};
use crate::psrp::format_data::FormatData;
use crate::psrp::pipeline::{Argument, Pipeline, PipelineCommand};
use crate::psrp::record::PipelineState;
use crate::transport::Error;
use crate::transport::session::{Running, Session};
use crate::wildcard::like;

/// Maximum number of names in a query: the limit of a restricted endpoint (CommandMetadata.GetRestrictedGetCommand).
const MOST_NAMES: usize = 1000;

/// Commands and views that an endpoint offers to a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Sorted unique names of all commands; empty if the endpoint does not list them.
    pub names: Vec<String>,
    /// The commands that the profile imports.
    pub commands: Vec<CommandMetadata>,
    pub views: Vec<FormatData>,
}

/// Queries the endpoint for its command names, and for the metadata and views to import.
pub async fn ask(session: &Session, import: &Import, name_check: &NameCheck) -> Result<Offered, Error> {
    let names = names(session).await?;
    let patterns = if import.commands.is_empty() { vec!["*".to_owned()] } else { import.commands.clone() };
    let asked: Vec<_> = names.iter().filter(|name| is_wanted(import, name)).cloned().collect();
    let chosen: Vec<_> = asked
        .iter()
        .filter(|name| name_check.allows(name, &prefixed(name, import.prefix.as_deref())))
        .cloned()
        .collect();
    if !names.is_empty() && chosen.is_empty() {
        return Ok(Offered { names, ..Offered::default() });
    }
    // Patterns are faster than names if no command is left out.
    let by_name = chosen.len() < asked.len() && (1..=MOST_NAMES).contains(&chosen.len());
    let query = CommandMetadata::query(if by_name { chosen } else { patterns });
    let mut commands = Vec::new();
    let ended = read(&mut session.command_metadata(&query).await?, |value| {
        commands.extend(CommandMetadata::read(&value));
    })
    .await?;
    if let Some(reason) = ended {
        return Err(Error::Ended(format!("the endpoint did not describe its commands: {reason}")));
    }
    // The endpoint may return commands that were not requested.
    commands.retain(|command| is_wanted(import, &command.name));
    let mut views = Vec::new();
    if !import.format_data.is_empty() && !commands.is_empty() {
        let mut format_data = PipelineCommand::new("Get-FormatData");
        let types = import.format_data.iter().map(|name| Value::from(name.as_str()));
        let types = Value::list(["System.String[]", "System.Array", "System.Object"], types);
        format_data.arguments.push(Argument::named("TypeName", types));
        // A restricted endpoint may not have the command, and a pattern may match nothing.
        read(&mut session.invoke(&Pipeline::new(vec![format_data]).into_internal()).await?, |value| {
            views.extend(FormatData::read(&value));
        })
        .await?;
    }
    Ok(Offered { names, commands, views })
}

/// Returns whether the profile's patterns cover a command.
pub fn is_covered(import: &Import, name: &str) -> bool {
    import.commands.is_empty() || import.commands.iter().any(|pattern| like(pattern, name))
}

/// Returns whether the profile imports a command. As with Import-PSSession, the standard commands of
/// restricted endpoints must be listed by name.
fn is_wanted(import: &Import, name: &str) -> bool {
    let by_name = import.commands.iter().any(|pattern| pattern.eq_ignore_ascii_case(name));
    let restricted = RESTRICTED.iter().any(|one| one.eq_ignore_ascii_case(name));
    by_name || !restricted && is_covered(import, name)
}

/// Runs `Get-Command | Select-Object Name`, as the agent does later. Returns no names if the pipeline fails.
async fn names(session: &Session) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut running = session.invoke(&command_metadata::names().into_internal()).await?;
    let ended = read(&mut running, |value| names.extend(command_metadata::name(&value))).await?;
    if ended.is_some() {
        names.clear();
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Reads the output to its end. Returns the reason if the pipeline did not complete.
async fn read(running: &mut Running, mut take: impl FnMut(Value)) -> Result<Option<String>, Error> {
    while let Some(event) = running.next().await {
        match event? {
            PipelineEvent::Output(value) => take(value),
            PipelineEvent::State(PipelineState::Completed, _) => return Ok(None),
            PipelineEvent::State(PipelineState::Failed | PipelineState::Stopped, record) => {
                return Ok(Some(record.map_or_else(|| "it was stopped".to_owned(), |record| record.message)));
            }
            _ => {}
        }
    }
    Err(Error::Ended("the endpoint did not answer".to_owned()))
}
