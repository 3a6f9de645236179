//! Runs the command in many profiles, each with its own session. The schedule limits how many run at the same time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use miette::IntoDiagnostic as _;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::failure::lines_of;
use super::module;
use super::results::{ProfileOutput, Results};
use super::schedule::{OpenSession, Schedule};
use super::task::{Task, refuse, without_keep};
use crate::agent::journal::Journal;
use crate::agent::paths::AgentPaths;
use crate::cli::Exec;
use crate::commands::connect::{Context, ParallelConnection, drawing};
use crate::commands::session::{self, StopConditions, StoppedEarly};
use crate::commands::{exit_code, last_used};
use crate::credential;
use crate::exit::Exit;
use crate::folders::Folders;
use crate::platform::ShutdownSignals;
use crate::profile::{self, Connections, Profile, Selected, Selection, select, unreadable_folders};
use crate::shell::console::exec::ErrorFormat;
use crate::shell::console::{self, Console};
use crate::shell::{Attached, OnLoss};

/// Maximum number of failed profiles in the summary.
const LISTED: usize = 20;

/// Runs a command in each selected profile. Returns the highest exit code.
pub async fn run(context: &Context, options: &Exec, selection: &Selection, task: Task) -> miette::Result<u8> {
    for line in unreadable_folders(&context.folders) {
        options.errors.report(&line, None);
    }
    let selected = select(&context.folders, selection)?;
    let needs_console = |one: &Selected| matches!(&one.profile, Ok(profile) if profile.service.is_none());
    if selected.iter().any(needs_console)
        && let Err(refused) = task.input()
    {
        return Ok(refuse(refused, "PROFILE", false, options.errors));
    }
    let mut signals = ShutdownSignals::catch().into_diagnostic()?;
    let stop = CancellationToken::new();
    let folder = &context.folders.cache;
    crate::platform::private_folder(folder).into_diagnostic()?;
    let (format, errors) = (options.output.data(), options.errors);
    let results = Results::new(format, errors, options.ordered, folder, stop.clone());
    let bar = bar(selected.len());
    let mut tally = Tally { ends: BTreeMap::new(), bar: &bar };
    let (mut profiles, mut places) = (Vec::new(), Vec::new());
    for (index, one) in selected.into_iter().enumerate() {
        match usable(one.profile) {
            Ok(profile) => {
                profiles.push(profile);
                places.push(index);
            }
            Err(report) => {
                let output = results.of(&one.name);
                let code = failed(&output, &report);
                results.end(index, output, Some(code));
                tally.add(index, &one.name, End::Code(code));
            }
        }
    }
    if options.fail_fast && tally.has_failed() {
        stop.cancel();
    }
    let mut schedule =
        Schedule::new(&profiles, &open_sessions(&context.folders), usize::from(options.parallel));
    let mut among: Vec<_> = ParallelConnection::all(&profiles).into_iter().map(Some).collect();
    let mut running = JoinSet::new();
    let mut tasks = HashMap::new();
    let mut interrupted = None;
    let (leave, mut left) = mpsc::unbounded_channel();
    loop {
        let now = Instant::now();
        while !stop.is_cancelled()
            && let Some(one) = schedule.next(now)
        {
            let output = results.of(&profiles[one].name);
            let run = Run {
                context: context.clone(),
                among: among[one].take().unwrap_or_default().into_quiet(&profiles[one].name),
                profile: profiles[one].clone(),
                task: task.clone(),
                output: output.clone(),
                deadline: options.timeout.map(|limit| tokio::time::Instant::now() + limit),
                stop: stop.clone(),
                leave: leave.clone(),
                index: one,
            };
            let task = running.spawn(run.run());
            tasks.insert(task.id(), (one, output));
        }
        if stop.is_cancelled() {
            for one in schedule.cancel() {
                let output = results.of(&profiles[one].name);
                if results.lost().is_none() {
                    output.fail("not run, because the others were stopped", None);
                }
                results.end(places[one], output, None);
                tally.add(places[one], &profiles[one].name, End::NotRun);
            }
        }
        if schedule.is_over() {
            break;
        }
        let wake = async {
            match schedule.wakes(now) {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = running.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                let Some((one, output)) = tasks.remove(&id) else { continue };
                let code = match ended {
                    Ok((_, code)) => code,
                    Err(error) => Some(failed(&output, &crash(&error))),
                };
                schedule.end(one);
                // The cause is the failure of another profile, or a closed output.
                let was_stopped =
                    code == Some(Exit::Interrupted.code()) && interrupted.is_none() && stop.is_cancelled();
                if results.lost().is_none() {
                    if code.is_none() {
                        output.fail(&StoppedEarly.to_string(), None);
                    } else if was_stopped {
                        output.fail("stopped, because another profile failed; the command may have run", None);
                    }
                }
                results.end(places[one], output, code);
                let end = match code {
                    None => End::NotRun,
                    Some(_) if was_stopped => End::Stopped,
                    Some(code) => End::Code(code),
                };
                tally.add(places[one], &profiles[one].name, end);
                if options.fail_fast && matches!(end, End::Code(1..)) {
                    stop.cancel();
                }
            }
            () = wake => {}
            Some(one) = left.recv() => schedule.leave(one),
            ending = signals.next() => {
                interrupted.get_or_insert(ending.exit_code());
                stop.cancel();
            }
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
    }
    results.finish();
    bar.finish_and_clear();
    match results.lost() {
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Exit::BrokenPipe.code()),
        Some(error) => return Err(miette::miette!("cannot write to standard output: {error}")),
        None => {}
    }
    if errors == ErrorFormat::Text {
        tally.report();
    }
    Ok(interrupted.unwrap_or_else(|| tally.highest()))
}

/// Returns the sessions of running agents, and the standalone sessions.
fn open_sessions(folders: &Folders) -> Vec<OpenSession> {
    let holder = |name: &str| AgentPaths::of(folders, name).holder();
    let agents = AgentPaths::known(folders).into_iter().filter(|name| holder(name).is_some());
    let standalone =
        Journal::of(folders).live().into_iter().filter(|entry| holder(&entry.profile) != Some(entry.process));
    let names = agents.map(|name| (name, true)).chain(standalone.map(|entry| (entry.profile, false)));
    let open = |(name, has_agent): (String, bool)| {
        Some(OpenSession { profile: profile::load(folders, &name).ok()?, has_agent })
    };
    names.filter_map(open).collect()
}

/// Returns the profile, or the reason why it cannot run beside others.
fn usable(profile: Result<Profile, crate::profile::StoreError>) -> miette::Result<Profile> {
    let profile = profile?;
    if credential::needs_terminal(&profile) || credential::proxy_needs_terminal(&profile) {
        let help = format!("run it alone with `lyncsh exec {}`, or store its password", profile.name);
        return Err(crate::commands::usage::usage!(help = help, "the profile asks for its password"));
    }
    Ok(profile)
}

/// Reports why a profile has no result. Returns its exit code.
fn failed(output: &ProfileOutput, report: &miette::Report) -> u8 {
    let (text, help) = lines_of(report);
    output.fail(&text, help.as_deref());
    exit_code(report).code()
}

/// Converts the panic of a profile's task.
fn crash(error: &JoinError) -> miette::Report {
    miette::miette!("cannot finish the command: {error}; the command may have run")
}

/// The command in one profile.
struct Run {
    context: Context,
    profile: Profile,
    among: ParallelConnection,
    task: Task,
    output: Arc<ProfileOutput>,
    deadline: Option<tokio::time::Instant>,
    stop: CancellationToken,
    /// Receives the index when the command has ended, before the session is removed.
    leave: mpsc::UnboundedSender<usize>,
    index: usize,
}

impl Run {
    /// Runs the command. Its output and its errors have been written when it returns the exit code; `None` if it was
    /// stopped before the command began.
    async fn run(self) -> Option<u8> {
        let output = self.output.clone();
        match self.code().await {
            Ok(code) => Some(code),
            Err(report) if report.is::<StoppedEarly>() => None,
            Err(report) => Some(failed(&output, &report)),
        }
    }

    async fn code(self) -> miette::Result<u8> {
        let Self { context, profile, among, task, output, deadline, stop, leave, index } = self;
        last_used::touch(&context.folders, &profile.name);
        let endings = StopConditions::of_token(stop, deadline);
        if profile.service.is_some() {
            return module::run(&context, &profile.name, task.line()?, &*output, endings).await;
        }
        let input = match task.input() {
            Ok(input) => input,
            Err(refused) => {
                let lines = refused.lines(&profile.name, profile.transcript.is_some());
                output.fail(&lines.join("\n"), None);
                return Ok(Exit::Usage.code());
            }
        };
        let connections = without_keep(Connections::from(profile));
        let console = Console::of_exec(&context.folders, &connections, output.clone(), false);
        let shell = async |attached: Vec<Attached>| {
            let code = console::run(&console, attached, input).await;
            let _ = leave.send(index);
            code
        };
        let place = (console.host(), OnLoss::Exit);
        session::run_until(&context, &connections, None, place, (vec![among], endings), shell).await
    }
}

/// Outcome of the command in one profile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Code(u8),
    /// Stopped after its start, by a failure of another profile.
    Stopped,
    NotRun,
}

/// Outcomes of all profiles.
struct Tally<'a> {
    /// By the position of the profile.
    ends: BTreeMap<usize, (String, End)>,
    bar: &'a ProgressBar,
}

impl Tally<'_> {
    fn add(&mut self, at: usize, name: &str, end: End) {
        self.ends.insert(at, (name.to_owned(), end));
        self.bar.inc(1);
        let failed = self.failed().count();
        if failed > 0 {
            self.bar.set_message(format!("{failed} failed"));
        }
    }

    fn codes(&self) -> impl Iterator<Item = (&str, u8)> {
        self.ends.values().filter_map(|(name, end)| match end {
            End::Code(code) => Some((name.as_str(), *code)),
            End::Stopped | End::NotRun => None,
        })
    }

    fn failed(&self) -> impl Iterator<Item = (&str, u8)> {
        self.codes().filter(|(_, code)| *code != 0)
    }

    fn count(&self, end: End) -> usize {
        self.ends.values().filter(|(_, one)| *one == end).count()
    }

    fn has_failed(&self) -> bool {
        self.failed().next().is_some()
    }

    fn highest(&self) -> u8 {
        self.codes().map(|(_, code)| code).max().unwrap_or(0)
    }

    /// Prints how many profiles succeeded, and the exit codes of the others.
    fn report(&self) {
        let (failed, stopped, skipped) =
            (self.failed().count(), self.count(End::Stopped), self.count(End::NotRun));
        let mut line = format!("{} profiles: {} succeeded", self.ends.len(), self.count(End::Code(0)));
        if failed > 0 {
            let some: Vec<String> =
                self.failed().take(LISTED).map(|(name, code)| format!("{name}: {code}")).collect();
            let more =
                if failed > LISTED { format!(", and {} more", failed - LISTED) } else { String::new() };
            line.push_str(&format!(", {failed} failed ({}{more})", some.join(", ")));
        }
        if stopped > 0 {
            line.push_str(&format!(", {stopped} stopped"));
        }
        if skipped > 0 {
            line.push_str(&format!(", {skipped} not run"));
        }
        crate::errln!("{line}");
    }
}

/// Returns the progress bar, which is visible if standard error is a terminal.
fn bar(all: usize) -> ProgressBar {
    let bar = drawing().add(ProgressBar::new(all as u64));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.tick();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_panic_of_a_profile_has_a_message() {
        let ended = tokio::spawn(async { panic!("a defect") }).await;
        let report = crash(&ended.unwrap_err());
        let text = report.to_string();
        assert!(text.starts_with("cannot finish the command: ") && text.contains("a defect"), "{text}");
        assert_eq!(exit_code(&report).code(), Exit::Failed.code());
    }
}
