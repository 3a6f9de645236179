//! `lyncsh status`: shows agents, their shells, and the sessions of their accounts.

mod format;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use miette::IntoDiagnostic as _;
use serde::Serialize;

use super::slots::listed;
use crate::agent::control::{Attached, Status};
use crate::agent::control_client;
use crate::agent::journal::{Entry, Journal};
use crate::agent::orphans;
use crate::agent::paths::{AgentPaths, in_brackets};
use crate::folders::Folders;
use crate::net::display;
use crate::profile;
use crate::screen::format_seconds;
use crate::{credential, output, platform};

/// Time limit for the answers of the agents with `--format`: a prompt must not wait for a stopped agent.
const PROMPT_TIMEOUT: Duration = Duration::from_millis(100);
/// Indentation of continuation lines.
const HANG: usize = 4;

/// Output of `--json`.
#[derive(Serialize)]
struct Report {
    agents: Vec<Status>,
    /// Agents that are running but do not answer.
    silent: Vec<Silent>,
    /// Standalone sessions, which have no agent.
    own: Vec<Entry>,
    /// Orphaned sessions.
    left: Vec<Entry>,
}

#[derive(Serialize)]
struct Silent {
    profile: String,
    process: Option<u32>,
    reason: String,
}

/// Prints one line for each agent. Without the field `used`, neither the endpoints nor the journal are read.
pub async fn run_format(folders: &Folders, template: &str) -> miette::Result<ExitCode> {
    let template = format::Template::parse(template)?;
    let names = AgentPaths::known(folders);
    let asked = names.iter().map(async |name| {
        if template.queries_endpoint() {
            return control_client::status(folders, name).await;
        }
        control_client::brief_status(folders, name, PROMPT_TIMEOUT).await
    });
    let mut lines = String::new();
    for (name, answer) in names.iter().zip(futures_util::future::join_all(asked).await) {
        match answer {
            Ok(Some(status)) => lines.push_str(&template.line(&status)),
            Ok(None) => {}
            Err(_) => lines.push_str(&template.silent(name, AgentPaths::of(folders, name).holder())),
        }
    }
    output::print_data(&lines);
    Ok(ExitCode::SUCCESS)
}

pub async fn run(folders: &Folders, json: bool) -> miette::Result<ExitCode> {
    let mut report = Report { agents: Vec::new(), silent: Vec::new(), own: Vec::new(), left: Vec::new() };
    let agents = control_client::agents(folders);
    let asked = agents.iter().map(|(there, name)| control_client::status(there, name));
    for ((there, name), answer) in agents.iter().zip(futures_util::future::join_all(asked).await) {
        match answer {
            Ok(Some(status)) => report.agents.push(status),
            Ok(None) => {}
            Err(error) => {
                let process = AgentPaths::of(there, name).holder();
                let (profile, reason) = (name.clone(), error.to_string());
                report.silent.push(Silent { profile, process, reason });
            }
        }
    }
    report.own = Journal::of(folders).live().into_iter().map(Entry::without_cookies).collect();
    report.own.retain(|entry| {
        let agent = report.agents.iter().any(|agent| agent.process == entry.process);
        // If the process has ended, another process holds the entry and is removing the session.
        let gone = platform::has_ended(entry.process);
        !agent && !gone && report.silent.iter().all(|silent| silent.profile != entry.profile)
    });
    report.left = Journal::of(folders)
        .lock_orphans()
        .into_iter()
        .map(|kept| kept.entry.clone().without_cookies())
        .collect();
    if json {
        output::print_data(&format!("{}\n", serde_json::to_string_pretty(&report).into_diagnostic()?));
    } else {
        output::message(&text(folders, &report), HANG);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a hint to use `lyncsh login`, if that command stores the profile's password; otherwise an empty text.
fn stores(folders: &Folders, name: &str) -> String {
    match profile::load(folders, name) {
        Ok(profile) if credential::has_login(&profile) => {
            format!(" (store another with `lyncsh login {name}`)")
        }
        _ => String::new(),
    }
}

fn text(folders: &Folders, report: &Report) -> String {
    let mut text = String::new();
    if report.agents.is_empty() && report.silent.is_empty() && report.own.is_empty() && report.left.is_empty()
    {
        return "no open sessions\n".to_owned();
    }
    for agent in &report.agents {
        // Writing into a String does not fail.
        let _ = describe(&mut text, agent);
    }
    let mut accounts = Vec::new();
    for agent in &report.agents {
        // Several agents can have sessions of one account.
        let place = agent.endpoint.as_ref().map(|endpoint| (endpoint.host_str(), endpoint.port()));
        let account = (agent.user.as_deref(), place);
        if !accounts.contains(&account) {
            accounts.push(account);
            let _ = describe_account(&mut text, agent);
        }
    }
    for silent in &report.silent {
        let Silent { profile, process, reason } = silent;
        let process = in_brackets(*process);
        let _ = writeln!(
            text,
            "{profile}: the agent{process} does not answer ({reason}); stop it with `lyncsh stop {profile}`"
        );
    }
    for Entry { profile, session, written, process, .. } in &report.own {
        let open = format_seconds(written.elapsed().unwrap_or_default());
        let endpoint = display(&session.endpoint);
        let _ =
            writeln!(text, "{profile}: standalone session, open for {open}, {endpoint} (guard {process})");
    }
    for entry in &report.left {
        let (profile, endpoint) = (&entry.profile, display(&entry.session.endpoint));
        let _ = if entry.refused {
            writeln!(
                text,
                "{profile}: orphaned session on {endpoint}; the password for its removal was refused. \
                 The session will be removed when the password is correct{}; {}",
                stores(folders, profile),
                orphans::advice(profile)
            )
        } else {
            let advice = orphans::advice(profile);
            writeln!(text, "{profile}: orphaned session on {endpoint}, not removed yet; {advice}")
        };
    }
    text
}

fn describe(text: &mut String, agent: &Status) -> std::fmt::Result {
    let Status { profile, process, .. } = agent;
    let Some(open) = agent.open else {
        return writeln!(text, "{profile}: connecting (agent {process})");
    };
    let endpoint = agent.endpoint.as_ref().map(display).unwrap_or_default();
    writeln!(text, "{profile}: open for {}, {endpoint} (agent {process})", format_seconds(open))?;
    agent.shells.iter().try_for_each(|shell| writeln!(text, "  {}", shell_line(shell)))
}

/// Describes an attached shell in one line.
pub fn shell_line(shell: &Attached) -> String {
    let program = shell.program.as_deref().unwrap_or("a shell");
    let process = in_brackets(shell.process);
    let since = shell.attached.map(format_seconds).unwrap_or_default();
    let runs = if shell.commands.is_empty() { "idle".to_owned() } else { shell.commands.join(", ") };
    format!("{program}{process}, attached for {since}, {runs}")
}

fn describe_account(text: &mut String, agent: &Status) -> std::fmt::Result {
    if let Some(used) = agent.used {
        let of = agent.allowed.map(|allowed| format!(" of {allowed}")).unwrap_or_default();
        let user = agent.user.as_deref().unwrap_or("this account");
        let sessions = if used == 1 && of.is_empty() { "session" } else { "sessions" };
        writeln!(text, "{used}{of} {sessions} of {user}")?;
        writeln!(text, "{}", listed(&agent.holders))?;
    }
    Ok(())
}
