//! The tenant and its cmdlets. Runs pipelines and sends their output, without any transport.
//!
//! [`spec`] describes commands, [`cmdlet`] implements them, [`bind`] and [`convert`] bind their parameters,
//! [`stage`] runs pipelines, [`state`] and [`family`] hold the data, [`metadata`], [`help`] and [`format`]
//! describe commands and draw objects.

mod bind;
mod cmdlet;
mod convert;
mod family;
mod fault;
mod filter;
mod format;
mod help;
mod metadata;
mod output;
mod spec;
mod stage;
mod state;
mod value;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use output::{Outcome, PipelineOutput};
pub use stage::World;

use self::fault::Fault;
use self::stage::{Engine, Executable, Planned};
pub use self::state::TENANT_PASSWORD;
use self::state::Tenants;
use super::Options;
use crate::psrp::clixml::Value;
use crate::psrp::host::HostInfo;
use crate::psrp::pipeline::{MetadataQuery, Pipeline, PipelineCommand};
use crate::psrp::record::ErrorRecord;

/// Context of a pipeline.
pub struct Context {
    /// Signed-in account.
    pub user: String,
    /// Host of the pool or of the pipeline.
    pub host: HostInfo,
    /// Pipeline input; closed at its end. Empty and closed without input.
    pub input: mpsc::Receiver<Value>,
    /// Events of the pipeline; a full channel slows it.
    pub output: mpsc::Sender<PipelineOutput>,
    pub stop: CancellationToken,
}

impl World {
    pub fn new(options: &Options) -> Arc<Self> {
        Arc::new(Self {
            tenants: Mutex::new(Tenants::new(options.users.unwrap_or(0), options.tenants)),
            commands: cmdlet::commands(options),
            fixtures: options.fixtures,
        })
    }

    /// Returns the tenant domain of an account if the password is correct.
    pub fn sign_in(&self, user: &str, password: &str) -> Option<String> {
        self.with_tenants(|tenants| tenants.sign_in(user, password))
    }

    /// Returns an account's password, for mechanisms that do not send it.
    pub fn password(&self, user: &str) -> Option<secrecy::SecretString> {
        self.with_tenants(|tenants| tenants.password(user)).map(Into::into)
    }

    /// Returns the domain that an account may administer.
    pub fn domain(&self, user: &str) -> Option<String> {
        let password = self.with_tenants(|tenants| tenants.password(user))?;
        self.sign_in(user, password)
    }

    /// Runs a pipeline to its end.
    pub async fn run(self: &Arc<Self>, pipeline: Pipeline, context: Context) -> Outcome {
        let Context { user, host, input, output, stop } = context;
        let mut input = (!pipeline.no_input).then_some(input);
        let mut outcome = Outcome::Completed;
        let mut statements = pipeline.following;
        statements.insert(0, pipeline.commands);
        let count = statements.len();
        for (index, commands) in statements.into_iter().enumerate() {
            // The first statement gets the input.
            let input = input.take();
            outcome = match self.plan(&commands, input.is_none()) {
                Ok(plan) => {
                    let mut engine = Engine::new(
                        Arc::clone(self),
                        user.clone(),
                        host.clone(),
                        output.clone(),
                        stop.clone(),
                    );
                    engine.run(plan, input).await
                }
                Err(fault) => Outcome::Failed(Box::new(fault.record())),
            };
            // Like PowerShell 7.6: after a failed first statement, the next statement runs; any other failed
            // statement ends the pipeline.
            match outcome {
                Outcome::Failed(record) if index == 0 && count > 1 => {
                    if output.send(PipelineOutput::Error(record)).await.is_err() {
                        return Outcome::Stopped;
                    }
                    outcome = Outcome::Completed;
                }
                Outcome::Completed => {}
                ended => return ended,
            }
        }
        outcome
    }

    /// Finds and binds the commands in order, up to the first fault.
    fn plan(&self, commands: &[PipelineCommand], no_input: bool) -> Result<Vec<Planned>, Fault> {
        let mut found = Vec::new();
        for command in commands {
            if command.is_script {
                return Err(Fault::script(&command.name));
            }
            found.push(self.find(&command.name).ok_or_else(|| Fault::command_not_found(&command.name))?);
        }
        let merges_previous = |index: usize| {
            commands.iter().skip(index + 1).any(|command| command.merge.previous_results & ERRORS != 0)
        };
        let bind = |(index, (spec, command)): (usize, (Arc<Executable>, &PipelineCommand))| {
            let piped = index > 0 || !no_input;
            let merge = &command.merge;
            let merged = merge.error == OUTPUT
                || (merge.my_result == ERRORS && merge.to_result == OUTPUT)
                || merges_previous(index);
            Ok(Planned { bound: bind::bind(&spec, &command.arguments, piped)?, spec, merged, piped })
        };
        found.into_iter().zip(commands).enumerate().map(bind).collect()
    }

    /// Returns the answer to GET_COMMAND_METADATA: the count object, then one object for each command.
    pub fn metadata(&self, query: &MetadataQuery) -> Vec<Value> {
        let found: Vec<_> = metadata::matching(&self.commands, &query.names, query.command_type)
            .into_iter()
            .filter(|spec| {
                query.namespace.is_empty()
                    || query.namespace.iter().any(|name| crate::wildcard::like(name, spec.module))
            })
            .collect();
        std::iter::once(metadata::count(found.len()))
            .chain(found.into_iter().map(|spec| metadata::command(spec)))
            .collect()
    }
}

/// Returns the record of PIPELINE_STATE 3 (PipelineStoppedException).
pub fn stopped_record() -> ErrorRecord {
    Fault::stopped().record()
}

/// PipelineResultTypes.
const OUTPUT: i32 = 1;
const ERRORS: i32 = 2;
