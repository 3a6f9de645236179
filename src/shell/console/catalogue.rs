//! Catalogue of the endpoint's commands: names, fetched with one cheap pipeline, and parameters, fetched when
//! completion first needs them. Both are cached on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::files::replace::{New, replace};
use crate::line::Views;
use crate::psrp::client::PipelineEvent;
use crate::psrp::clixml::{self, Value};
use crate::psrp::command_metadata::{self, CommandMetadata};
use crate::psrp::pipeline::{Argument, Merge, Pipeline, PipelineCommand};
use crate::psrp::record::{ErrorRecord, PipelineState, ProgressRecord};
use crate::transport::Error;
use crate::transport::session::{Running, Session};

/// Time limit for one request for parameters, parameter values or format data.
const METADATA_WAIT: Duration = Duration::from_secs(5);
/// Maximum wait of completion for the names; the agent lists them after the session was idle for 2 s.
const NAMES_WAIT: Duration = Duration::from_secs(4);

/// The commands of one endpoint and account. Clones share the data.
#[derive(Clone)]
pub struct Catalogue {
    known: Arc<Mutex<Known>>,
    views: Views,
    file: Option<PathBuf>,
    /// Set once the names are known.
    learned: watch::Sender<bool>,
    /// Answers of the endpoint about single commands.
    asked: Arc<Mutex<BTreeMap<String, bool>>>,
}

/// Outcome of listing the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    All,
    /// A shell's command took precedence.
    Interrupted,
}

/// Content of the cache file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
struct Known {
    names: Vec<String>,
    /// Parameter names by command, in the endpoint's order.
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
    /// Types of the output by command, as far as the command declares them.
    #[serde(default)]
    output_types: BTreeMap<String, Vec<String>>,
    /// Parameters with their values by command.
    #[serde(default)]
    choices: BTreeMap<String, Vec<Choices>>,
    /// Format data as CLIXML; `None` if it was not requested yet.
    #[serde(default)]
    views: Option<Vec<String>>,
    /// The endpoint did not answer the request for format data; later processes may ask again.
    #[serde(skip)]
    was_silent: bool,
}

/// A parameter and the values that it accepts: of an enum, a ValidateSet or a Boolean. GET_COMMAND_METADATA
/// does not return them; Get-Command -ShowCommandInfo does (CmdletInfo, ShowCommandInfo.cs).
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
struct Choices {
    parameter: String,
    position: Option<usize>,
    values: Vec<String>,
}

impl Choices {
    /// Reads the parameters of an output object of Get-Command -ShowCommandInfo.
    fn read(info: &Value) -> Vec<Self> {
        let items = |value: &Value, name: &str| -> Vec<Value> {
            value.property(name).and_then(Value::items).map(<[Value]>::to_vec).unwrap_or_default()
        };
        let mut all: Vec<Self> = Vec::new();
        let sets = items(info, "ParameterSets");
        for parameter in sets.iter().flat_map(|set| items(set, "Parameters")) {
            let Some(name) = parameter.property("Name").map(Value::display_text) else { continue };
            if all.iter().any(|known| known.parameter == name) {
                continue;
            }
            let texts = |values: Vec<Value>| values.iter().map(Value::display_text).collect::<Vec<_>>();
            let kind = parameter.property("ParameterType").cloned().unwrap_or_default();
            let element = kind.property("ElementType").filter(|element| !element.is_null());
            let is_flag =
                kind.property("FullName").is_some_and(|name| name.display_text() == "System.Boolean");
            let mut values = texts(items(&parameter, "ValidParamSetValues"));
            values.retain(|value| !value.is_empty());
            if values.is_empty() {
                values = texts(items(element.unwrap_or(&kind), "EnumValues"));
            }
            if values.is_empty() && is_flag {
                values = ["$false", "$true"].map(str::to_owned).to_vec();
            }
            let position = parameter.property("Position").and_then(Value::as_i64);
            let position = position.and_then(|position| usize::try_from(position).ok());
            all.push(Self { parameter: name, position, values });
        }
        all
    }
}

impl Catalogue {
    /// Loads the cache; an unreadable or missing file gives an empty catalogue.
    pub fn load(file: Option<PathBuf>) -> Self {
        let read = file.as_ref().and_then(|path| std::fs::read(path).ok());
        let known: Known = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let views = Views::default();
        for definition in known.views.iter().flatten().filter_map(|text| clixml::read(text).ok()) {
            views.learn(&definition);
        }
        let learned = watch::Sender::new(!known.names.is_empty());
        Self { known: Arc::new(Mutex::new(known)), views, file, learned, asked: Arc::default() }
    }

    /// Returns the views of the endpoint's types, as far as they were fetched.
    pub fn views(&self) -> Views {
        self.views.clone()
    }

    /// Fetches the endpoint's format data once. If the endpoint does not answer in time, objects are drawn as if
    /// they had no format data. Calls `progress` with each progress record that arrives meanwhile.
    pub async fn learn_views(&self, session: &Session, mut progress: impl FnMut(&ProgressRecord)) {
        let asked = self.known.lock().is_ok_and(|known| known.views.is_some() || known.was_silent);
        if asked || !(self.is_empty() || self.offers("Get-FormatData")) {
            return;
        }
        let mut definitions = Vec::new();
        let asking = async {
            let mut running = session.invoke(&format_data()).await?;
            collect_with(&mut running, |value| definitions.push(value.clone()), &mut progress).await
        };
        let answered = matches!(tokio::time::timeout(METADATA_WAIT, asking).await, Ok(Ok(())));
        definitions.iter().for_each(|definition| self.views.learn(definition));
        if let Ok(mut known) = self.known.lock() {
            if answered {
                known.views = Some(definitions.iter().map(clixml::write).collect());
            } else {
                known.was_silent = true;
            }
        }
        if answered {
            self.store();
        }
    }

    /// Returns the sorted names; empty until they are fetched.
    pub fn names(&self) -> Vec<String> {
        self.known.lock().map(|known| known.names.clone()).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.known.lock().map_or(true, |known| known.names.is_empty())
    }

    /// Returns whether the endpoint is known to offer a command of this name.
    pub fn offers(&self, name: &str) -> bool {
        let asked = self.asked.lock().is_ok_and(|asked| asked.get(&name.to_lowercase()) == Some(&true));
        asked
            || self
                .known
                .lock()
                .is_ok_and(|known| known.names.iter().any(|one| one.eq_ignore_ascii_case(name)))
    }

    /// Asks the endpoint whether it offers a command. The answer is kept until the names are listed again.
    pub async fn ask(&self, session: &Session, name: &str) -> Result<bool, Error> {
        let key = name.to_lowercase();
        if let Some(offers) = self.asked.lock().ok().and_then(|asked| asked.get(&key).copied()) {
            return Ok(offers);
        }
        let mut running = session.invoke(&one_name(name)).await?;
        let mut offers = false;
        while let Some(event) = running.next().await {
            match event? {
                PipelineEvent::Output(_) => offers = true,
                PipelineEvent::State(PipelineState::Completed, _) => self.remember(name, offers),
                PipelineEvent::State(PipelineState::Failed, Some(record)) if record.is_of_session() => {
                    return Err(Error::Ended(record.message.clone()));
                }
                _ => {}
            }
        }
        Ok(offers)
    }

    fn remember(&self, name: &str, offers: bool) {
        if let Ok(mut asked) = self.asked.lock() {
            asked.insert(name.to_lowercase(), offers);
        }
    }

    /// Waits up to [`NAMES_WAIT`] for the names.
    pub async fn learned_soon(&self) {
        let mut learned = self.learned.subscribe();
        let _ = tokio::time::timeout(NAMES_WAIT, learned.wait_for(|learned| *learned)).await;
    }

    /// Asks the endpoint for a command that its list does not name, such as an alias or a program. Returns
    /// the endpoint's error if the command does not exist; `None` if it exists or the answer is unclear.
    ///
    /// `is_shown`: whether the error is shown as an error of the user's line; otherwise the pipeline is internal.
    pub async fn find(
        &self,
        session: &Session,
        name: &str,
        is_shown: bool,
    ) -> Result<Option<ErrorRecord>, Error> {
        let asking = pipeline(vec![command("Get-Command", Some(("Name", name)))]);
        let asking = Pipeline { internal: !is_shown, ..asking };
        let mut running = session.invoke(&asking).await?;
        let (mut found, mut failure) = (false, None);
        while let Some(event) = running.next().await {
            match event? {
                PipelineEvent::Output(_) => found = true,
                PipelineEvent::Error(record) | PipelineEvent::State(PipelineState::Failed, Some(record)) => {
                    failure = Some(record);
                }
                _ => {}
            }
        }
        if found {
            self.remember(name, true);
        }
        let about = |record: &ErrorRecord| record.message.contains(&format!("'{name}'"));
        Ok(failure.filter(|record| !found && about(record)).map(|mut record| {
            // The error is about the command itself, not about Get-Command.
            record.command = Some(name.to_owned());
            *record
        }))
    }

    /// Fetches the names with `Get-Command | Select-Object Name`, which costs a fraction of the metadata,
    /// while no shell runs a command. Parameters of commands that still exist are kept.
    pub async fn refresh(&self, session: &Session) -> Result<Listed, Error> {
        self.list(session, command_metadata::names().in_background()).await
    }

    /// Fetches the names now unless they are known.
    pub async fn learn(&self, session: &Session) -> Result<(), Error> {
        if self.is_empty() {
            self.list(session, command_metadata::names().into_internal()).await.map(drop)
        } else {
            Ok(())
        }
    }

    async fn list(&self, session: &Session, pipeline: Pipeline) -> Result<Listed, Error> {
        let mut running = session.invoke(&pipeline).await?;
        let mut names = Vec::new();
        while let Some(event) = running.next().await {
            match event? {
                PipelineEvent::Output(value) => names.extend(command_metadata::name(&value)),
                PipelineEvent::State(PipelineState::Stopped, _) => return Ok(Listed::Interrupted),
                PipelineEvent::State(PipelineState::Failed, error) => return Err(not_listed(error)),
                _ => {}
            }
        }
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        let changed = self.known.lock().is_ok_and(|mut known| {
            let changed = known.names != names;
            if changed {
                known.parameters.retain(|name, _| names.contains(name));
                known.output_types.clear();
                known.choices.clear();
                if !known.names.is_empty() {
                    // The views may be of an older version of the endpoint.
                    known.views = None;
                }
                known.names = names;
            }
            changed
        });
        if changed {
            self.store();
        }
        if let Ok(mut asked) = self.asked.lock() {
            asked.clear();
        }
        self.learned.send_replace(true);
        Ok(Listed::All)
    }

    /// Returns a command's parameter names, fetched on first use. `None` if the command is not known, the endpoint
    /// does not answer in time, or there is no session.
    pub async fn parameters(&self, session: Option<&Session>, command: &str) -> Option<Vec<String>> {
        let name = {
            let known = self.known.lock().ok()?;
            let name = known.names.iter().find(|one| one.eq_ignore_ascii_case(command))?;
            if let Some(parameters) = known.parameters.get(name) {
                return Some(parameters.clone());
            }
            name.clone()
        };
        let asked = tokio::time::timeout(METADATA_WAIT, ask_parameters(session?, &name)).await;
        let (parameters, types) = asked.ok()?.ok()?;
        if let Ok(mut known) = self.known.lock() {
            known.output_types.insert(name.clone(), types);
            known.parameters.insert(name, parameters.clone());
        }
        self.store();
        Some(parameters)
    }

    /// Returns the types that a command declares for its output.
    pub async fn output_types(&self, session: Option<&Session>, command: &str) -> Option<Vec<String>> {
        let known = |known: &Known| {
            let found = known.output_types.iter().find(|(name, _)| name.eq_ignore_ascii_case(command));
            found.map(|(_, types)| types.clone())
        };
        if let Some(types) = known(&*self.known.lock().ok()?) {
            return Some(types);
        }
        if let Ok(mut known) = self.known.lock() {
            known.parameters.retain(|name, _| !name.eq_ignore_ascii_case(command));
        }
        self.parameters(session, command).await?;
        known(&*self.known.lock().ok()?)
    }

    /// Returns the values of a parameter, named or by its position; fetched on first use. `None` if the
    /// endpoint does not answer in time, or there is no session.
    pub async fn values(
        &self,
        session: Option<&Session>,
        command: &str,
        parameter: Result<&str, usize>,
    ) -> Option<Vec<String>> {
        let known = {
            let known = self.known.lock().ok()?;
            let found = known.choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(command));
            found.map(|(_, choices)| choices.clone())
        };
        let choices = if let Some(choices) = known {
            choices
        } else {
            let mut choices = Vec::new();
            let session = session?;
            let asking = async {
                let mut running = session.invoke(&command_info(command)).await?;
                collect(&mut running, |value| choices.extend(Choices::read(value))).await
            };
            tokio::time::timeout(METADATA_WAIT, asking).await.ok()?.ok()?;
            if let Ok(mut known) = self.known.lock() {
                known.choices.insert(command.to_owned(), choices.clone());
            }
            self.store();
            choices
        };
        let begins = |name: &str, typed: &str| {
            name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
        };
        let found = match parameter {
            Ok(typed) => choices
                .iter()
                .find(|one| one.parameter.eq_ignore_ascii_case(typed))
                .or_else(|| choices.iter().find(|one| begins(&one.parameter, typed))),
            Err(position) => {
                let mut positional: Vec<&Choices> =
                    choices.iter().filter(|one| one.position.is_some()).collect();
                positional.sort_by_key(|one| one.position);
                positional.get(position).copied()
            }
        };
        Some(found.map(|one| one.values.clone()).unwrap_or_default())
    }

    /// Writes the cache. Data that cannot be cached is fetched again next time.
    fn store(&self) {
        let Some(file) = &self.file else { return };
        let Some(folder) = file.parent() else { return };
        let Ok(known) = self.known.lock().map(|known| known.clone()) else { return };
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| replace(file, &serde_json::to_vec(&known)?, New::Private));
        if let Err(error) = written {
            tracing::debug!(file = %file.display(), %error, "cannot write the catalogue cache");
        }
    }
}

/// Returns the names of a command's parameters, and the types of its output.
async fn ask_parameters(session: &Session, name: &str) -> Result<(Vec<String>, Vec<String>), Error> {
    let mut running = session.command_metadata(&CommandMetadata::query([name.to_owned()])).await?;
    let (mut parameters, mut types) = (Vec::new(), Vec::new());
    collect(&mut running, |value| {
        let declared = value.property("OutputType").and_then(Value::items).unwrap_or_default();
        types.extend(declared.iter().map(Value::display_text));
        let command = CommandMetadata::read(value);
        parameters.extend(command.into_iter().flat_map(|command| command.parameters).map(|one| one.name));
    })
    .await?;
    Ok((parameters, types))
}

/// Reads a pipeline's output to its end.
async fn collect(running: &mut Running, take: impl FnMut(&Value)) -> Result<(), Error> {
    collect_with(running, take, |_| {}).await
}

async fn collect_with(
    running: &mut Running,
    mut take: impl FnMut(&Value),
    mut progress: impl FnMut(&ProgressRecord),
) -> Result<(), Error> {
    while let Some(event) = running.next().await {
        match event? {
            PipelineEvent::Output(value) => take(&value),
            PipelineEvent::Progress(record) => progress(&record),
            PipelineEvent::State(PipelineState::Failed | PipelineState::Stopped, error) => {
                return Err(not_listed(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn not_listed(error: Option<Box<ErrorRecord>>) -> Error {
    let reason = error.map_or_else(|| "it was stopped".to_owned(), |record| record.message.clone());
    Error::Protocol(format!("the endpoint does not list its commands: {reason}"))
}

/// Returns a pipeline that looks up one command by its literal name.
fn one_name(name: &str) -> Pipeline {
    pipeline(vec![
        command("Get-Command", Some(("Name", name))),
        command("Select-Object", Some(("Property", "Name"))),
    ])
}

/// Returns the pipeline that describes a command with the values of its parameters.
fn command_info(name: &str) -> Pipeline {
    let mut describe = command("Get-Command", Some(("Name", name)));
    describe.arguments.push(Argument { name: Some("ShowCommandInfo".into()), value: None });
    pipeline(vec![describe])
}

fn format_data() -> Pipeline {
    pipeline(vec![command("Get-FormatData", Some(("TypeName", "*")))])
}

fn command(name: &str, argument: Option<(&str, &str)>) -> PipelineCommand {
    let argument =
        argument.map(|(name, value)| Argument { name: Some(name.into()), value: Some(value.into()) });
    PipelineCommand {
        name: name.into(),
        is_script: false,
        use_local_scope: None,
        arguments: argument.into_iter().collect(),
        merge: Merge::default(),
    }
}

fn pipeline(commands: Vec<PipelineCommand>) -> Pipeline {
    Pipeline::new(commands).into_internal()
}
