//! Tables and implementations of the commands.

mod acp;
mod edge;
mod endpoint;
mod fixture;
mod migration;
mod room;
mod setting;
mod user;

use std::sync::Arc;

use super::spec::{CommandKind, Kind, parameter};
use super::stage::Executable;
use super::value::text;
use crate::simulator::{MadeUpCommand, Options};

/// Returns every command of the endpoint, functions before cmdlets, each in order of name.
pub fn commands(options: &Options) -> Vec<Arc<Executable>> {
    let mut all = endpoint::commands();
    all.extend(user::commands());
    all.extend(room::commands());
    all.extend(acp::commands());
    all.extend(migration::commands());
    all.extend(edge::commands());
    all.extend(setting::commands());
    if options.fixtures {
        let recorded = fixture::commands();
        all.retain(|spec| !recorded.iter().any(|recorded| recorded.name == spec.name));
        all.extend(recorded);
    }
    all.extend(options.commands.iter().map(made_up));
    let missing = options.cmdlets.unwrap_or(0).saturating_sub(all.len());
    all.extend((1..=missing).map(|number| {
        Executable::cmdlet(format!("Get-CsSample{number:04}"), "Made up, to fill the endpoint.", |_| {
            Box::pin(async { Ok(()) })
        })
        .with(setting::identity_parameters())
    }));
    all.sort_by_key(|spec| (spec.kind.bit(), spec.name.to_lowercase()));
    all.into_iter().map(Arc::new).collect()
}

fn made_up(command: &MadeUpCommand) -> Executable {
    let made = Executable::cmdlet(&command.name, "", |call| {
        Box::pin(async move {
            let answer = text(&call.spec.answer);
            call.output(answer).await
        })
    });
    let kind = if command.resolves.is_some() { CommandKind::Alias } else { CommandKind::Function };
    let parameters = command
        .parameters
        .iter()
        .map(|one| parameter(one.name.as_str(), Kind::Enum(one.type_name, &[])).alias(one.aliases))
        .collect();
    let mut made = made.with(parameters);
    made.spec.kind = kind;
    if !command.module.is_empty() {
        made.spec.module = command.module;
    }
    made.spec.resolves.clone_from(&command.resolves);
    made.spec.answer.clone_from(&command.answer);
    made
}
