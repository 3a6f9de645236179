//! `lyncsh exec`: runs one command or script without a shell, in one profile or many.

mod blocked;
mod failure;
mod many;
mod module;
mod results;
mod schedule;
mod task;

use std::process::ExitCode;
use std::sync::Arc;

use failure::show;
use miette::{Context as _, IntoDiagnostic as _};
use task::{Task, is_script, refuse, without_keep};
use tokio::time::Instant;

use super::connect::{Context, ParallelConnection};
use super::session::{self, StopConditions};
use super::usage::usage;
use super::{exit_code, last_used};
use crate::cli::{Exec, ExecFormat};
use crate::folders::expanded_text;
use crate::line::data::DataFormat;
use crate::profile::{self, Selection};
use crate::screen;
use crate::shell::console::exec::{ExecOutput as _, Standard};
use crate::shell::console::{self, Console};
use crate::shell::{Attached, OnLoss};

impl ExecFormat {
    fn data(self) -> Option<DataFormat> {
        match self {
            Self { json: true, .. } => Some(DataFormat::Json),
            Self { jsonl: true, .. } => Some(DataFormat::JsonLines),
            Self { csv: true, .. } => Some(DataFormat::Csv),
            Self { clixml: true, .. } => Some(DataFormat::Clixml),
            _ => None,
        }
    }
}

/// Profiles of a command line.
enum Target {
    One(String),
    Many(Selection),
}

/// Runs the command. Returns its exit code, or the highest of all profiles.
pub async fn run(context: &Context, options: Exec) -> miette::Result<ExitCode> {
    let errors = options.errors;
    let context = Context { errors, ..context.clone() };
    let code = execute(&context, options).await.unwrap_or_else(|report| {
        show(&report, errors);
        exit_code(&report).code()
    });
    Ok(code.into())
}

async fn execute(context: &Context, options: Exec) -> miette::Result<u8> {
    let (target, script) = target(&options)?;
    let input = match options.input {
        Some(format) => Some(task::input(format).await?),
        None => None,
    };
    let task = task::task(script.as_deref(), options.line.clone(), input).await?;
    let deadline = options.timeout.map(|limit| Instant::now() + limit);
    // In many profiles, each has its own time limit.
    let is_one = matches!(target, Target::One(_));
    let _guard = blocked::watch(deadline.filter(|_| is_one), options.errors)?;
    match target {
        Target::One(name) => one(context, &options, &name, task).await,
        Target::Many(selection) => many::run(context, &options, &selection, task).await,
    }
}

/// Returns the profiles and the script of the command line.
fn target(options: &Exec) -> miette::Result<(Target, Option<String>)> {
    let selection = match (options.all, &options.tag, options.profiles.as_slice()) {
        (true, ..) => Some(Selection::All),
        (_, Some(tag), _) => Some(Selection::Tag(tag.clone())),
        (.., names) => (!names.is_empty())
            .then(|| Selection::Names(names.iter().map(|name| name.trim().to_owned()).collect())),
    };
    let mut words = options.words.iter().cloned();
    let target = if let Some(selection) = selection {
        Target::Many(selection)
    } else {
        let help = "name a profile, or pass --all, --tag or --profiles";
        Target::One(words.next().ok_or_else(|| usage!(help = help, "no profile is given"))?)
    };
    let script = words.next().map(|path| expanded_text(&path));
    if let (Target::Many(_), Some(word)) = (&target, &script)
        && !is_script(word)
    {
        let help = "--all, --tag and --profiles select the profiles: name only a script here";
        return Err(usage!(help = help, "unexpected argument '{word}'"));
    }
    if let Some(word) = words.next() {
        let help = "put a command, or a script's arguments, after `--`";
        return Err(usage!(help = help, "unexpected argument '{word}'"));
    }
    Ok((target, script))
}

/// Runs a command in one profile, and ends its output.
async fn one(context: &Context, options: &Exec, name: &str, task: Task) -> miette::Result<u8> {
    let connections = profile::connections(&context.folders, name)?;
    let connections = without_keep(connections);
    connections.profiles.iter().for_each(|profile| last_used::touch(&context.folders, &profile.name));
    let output = Arc::new(Standard::new(options.output.data(), options.errors));
    let endings = StopConditions::of_process(options.timeout.map(|limit| Instant::now() + limit))?;
    let result = if let [profile] = connections.profiles.as_slice()
        && profile.service.is_some()
    {
        module::run(context, name, task.line()?, &*output, endings).await
    } else {
        let input = match task.input() {
            Ok(input) => input,
            Err(refused) => {
                let is_recorded = connections.profiles.iter().any(|profile| profile.transcript.is_some());
                return Ok(refuse(refused, name, is_recorded, options.errors));
            }
        };
        let console = Console::of_exec(&context.folders, &connections, output.clone(), screen::can_ask());
        let shell = async |attached: Vec<Attached>| console::run(&console, attached, input).await;
        let place = (console.host(), OnLoss::Exit);
        let among = ParallelConnection::all(&connections.profiles);
        session::run_until(context, &connections, None, place, (among, endings), shell).await
    };
    // The result already covers a reader that closed the pipe.
    let finished = output.finish();
    if matches!(result, Ok(0)) {
        finished.into_diagnostic().wrap_err("cannot write to standard output")?;
    }
    result
}
