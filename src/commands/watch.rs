//! `lyncsh watch`: agents, shells, pipelines and sessions in a live screen.

mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use miette::{IntoDiagnostic as _, WrapErr as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use self::view::{Account, Row, View};
use super::usage::usage;
use super::{status, stop};
use crate::agent::control::Status;
use crate::agent::control_client;
use crate::agent::paths::AgentPaths;
use crate::exit::Exit;
use crate::folders::Folders;
use crate::platform::{Ending, ShutdownSignals};
use crate::screen::{self, Stream};

/// Interval between status requests, which the agents answer without the endpoint.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between counts of the accounts' sessions, for which agents query their endpoints.
const ACCOUNTS_INTERVAL: Duration = Duration::from_secs(15);
/// Time limit for an agent's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(900);
/// Interval at which the thread that reads keys checks whether the screen has ended.
const KEYS_INTERVAL: Duration = Duration::from_millis(100);

/// Shows the screen until the user quits, or prints one snapshot.
pub async fn run(folders: &Folders, json: bool) -> miette::Result<ExitCode> {
    if json {
        return status::run(folders, true).await;
    }
    let is_terminal = Stream::Output.is_terminal() && std::io::IsTerminal::is_terminal(&std::io::stdin());
    if !is_terminal || screen::is_dumb() {
        let reason =
            if is_terminal { "the terminal does not support escape sequences" } else { "not a terminal" };
        return Err(usage!(
            help = "use `lyncsh status`, or `lyncsh watch --json` for one snapshot",
            "cannot show a live screen: {reason}"
        ));
    }
    let mut signals = ShutdownSignals::catch().into_diagnostic()?;
    let mut screen = Screen::open().into_diagnostic().wrap_err("cannot prepare the terminal")?;
    let mut stopping = JoinSet::new();
    let result = watch(folders, &mut screen, &mut signals, &mut stopping).await;
    drop(screen);
    finish(stopping, &mut signals).await;
    result.into_diagnostic().wrap_err("cannot draw the screen")
}

/// Waits for the agents that the user stopped before quitting, unless a signal arrives.
async fn finish(mut stopping: JoinSet<String>, signals: &mut ShutdownSignals) {
    while !stopping.is_empty() {
        tokio::select! {
            _ = signals.next() => return,
            Some(stopped) = stopping.join_next() => {
                if let Ok(message) = stopped {
                    crate::errln!("{message}");
                }
            }
        }
    }
}

/// The terminal's alternate screen in raw mode. Dropping it restores the terminal, and then writes the log lines that
/// were held meanwhile; a panic restores the terminal before its message.
struct Screen {
    terminal: ratatui::DefaultTerminal,
    _log: screen::HeldLog,
    ended: Arc<AtomicBool>,
    keys: mpsc::UnboundedReceiver<Event>,
}

impl Screen {
    fn open() -> std::io::Result<Self> {
        let log = screen::HeldLog::start();
        let terminal = ratatui::try_init().inspect_err(|_| drop(ratatui::try_restore()))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (sender, keys) = mpsc::unbounded_channel();
        let is_over = ended.clone();
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let event = match crossterm::event::poll(KEYS_INTERVAL) {
                    Ok(true) => crossterm::event::read(),
                    Ok(false) => continue,
                    Err(error) => Err(error),
                };
                // Ends the channel: for the receiver, the terminal is closed.
                let Ok(event) = event else { return };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { terminal, _log: log, ended, keys })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.terminal.show_cursor();
        // The terminal may be closed.
        let _ = ratatui::try_restore();
    }
}

/// Result of a background task.
enum TaskResult {
    Rows(Vec<Row>),
    Accounts(Vec<Account>),
}

async fn watch(
    folders: &Folders,
    screen: &mut Screen,
    signals: &mut ShutdownSignals,
    stopping: &mut JoinSet<String>,
) -> std::io::Result<ExitCode> {
    let mut view = View::new(Stream::Output.colour());
    let (sender, mut results) = mpsc::unbounded_channel();
    let mut refresh = interval(REFRESH_INTERVAL);
    let mut accounts = interval(ACCOUNTS_INTERVAL);
    for timer in [&mut refresh, &mut accounts] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        screen.terminal.draw(|frame| view.draw(frame))?;
        tokio::select! {
            ending = signals.next() => return Ok(ending.exit_code().into()),
            event = screen.keys.recv() => {
                // The terminal is closed.
                let Some(event) = event else { return Ok(Ending::Hangup.exit_code().into()) };
                match effect(&event, &mut view) {
                    Effect::Nothing => {}
                    Effect::Quit(exit) => return Ok(exit.into()),
                    Effect::Stop(name) => {
                        view.message = format!("Stopping the agent of '{name}'…");
                        let folders = folders.clone();
                        stopping.spawn(async move { stopped(&folders, &name).await });
                    }
                }
            }
            _ = refresh.tick() => spawn(&sender, folders, |folders| async move { TaskResult::Rows(rows(&folders).await) }),
            _ = accounts.tick() => {
                spawn(&sender, folders, |folders| async move { TaskResult::Accounts(accounts_of(&folders).await) });
            }
            Some(stopped) = stopping.join_next() => {
                view.message = stopped.unwrap_or_else(|error| error.to_string());
                refresh.reset_immediately();
            }
            // Never ends: `sender` is alive.
            Some(result) = results.recv() => match result {
                TaskResult::Rows(rows) => view.set_rows(rows),
                TaskResult::Accounts(accounts) => view.accounts = accounts,
            }
        }
    }
}

/// Starts a task that reports its result.
fn spawn<F>(
    sender: &mpsc::UnboundedSender<TaskResult>,
    folders: &Folders,
    work: impl FnOnce(Folders) -> F + Send + 'static,
) where
    F: Future<Output = TaskResult> + Send + 'static,
{
    let (sender, folders) = (sender.clone(), folders.clone());
    // Fails if the screen has ended.
    tokio::spawn(async move { sender.send(work(folders).await) });
}

#[derive(Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    Quit(Exit),
    /// Stop the agent of this profile.
    Stop(String),
}

/// Handles a key.
fn effect(event: &Event, view: &mut View) -> Effect {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return Effect::Nothing };
    if *kind == KeyEventKind::Release {
        return Effect::Nothing;
    }
    if modifiers.contains(KeyModifiers::CONTROL) {
        let is_interrupt = *code == KeyCode::Char('c');
        return if is_interrupt { Effect::Quit(Exit::Interrupted) } else { Effect::Nothing };
    }
    if let Some(name) = view.asked.take() {
        if matches!(code, KeyCode::Char('y' | 'Y')) {
            return Effect::Stop(name);
        }
        view.message = "Nothing was stopped.".to_owned();
        return Effect::Nothing;
    }
    match code {
        KeyCode::Char('q') => return Effect::Quit(Exit::Success),
        KeyCode::Char('s') => view.ask(),
        KeyCode::Up | KeyCode::Char('k') => view.select(-1),
        KeyCode::Down | KeyCode::Char('j') => view.select(1),
        KeyCode::Home => view.select(isize::MIN),
        KeyCode::End => view.select(isize::MAX),
        _ => {}
    }
    Effect::Nothing
}

/// Requests the status of all agents, without requests to their endpoints.
async fn rows(folders: &Folders) -> Vec<Row> {
    let names = AgentPaths::known(folders);
    let asked = names.iter().map(|name| control_client::brief_status(folders, name, ANSWER_TIMEOUT));
    let answers = futures_util::future::join_all(asked).await;
    let row = |(name, answer): (String, std::io::Result<Option<Status>>)| match answer {
        Ok(status) => status.map(|status| Row { name, status: Some(status) }),
        Err(_) => Some(Row { name, status: None }),
    };
    names.into_iter().zip(answers).filter_map(row).collect()
}

/// Asks all agents for the sessions of their accounts.
async fn accounts_of(folders: &Folders) -> Vec<Account> {
    let names = AgentPaths::known(folders);
    let asked = names.iter().map(|name| control_client::status(folders, name));
    let answers = futures_util::future::join_all(asked).await;
    let account = |answer: std::io::Result<Option<Status>>| {
        let status = answer.ok()??;
        Some(Account { profile: status.profile, used: status.used?, allowed: status.allowed })
    };
    answers.into_iter().filter_map(account).collect()
}

async fn stopped(folders: &Folders, name: &str) -> String {
    match control_client::stop(folders, name).await {
        Ok(stopped) => stop::described(name, &stopped),
        Err(error) => stop::failed(name, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Colour;

    fn press(view: &mut View, code: KeyCode) -> Effect {
        effect(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), view)
    }

    #[test]
    fn an_agent_is_stopped_after_a_confirmation_only() {
        let mut view = View::new(Colour::Drop);
        assert_eq!(press(&mut view, KeyCode::Char('s')), Effect::Nothing);
        assert_eq!(press(&mut view, KeyCode::Char('y')), Effect::Nothing, "no agent, no question");
        let row = |name: &str| Row { name: name.to_owned(), status: None };
        view.set_rows(vec![row("lab"), row("work")]);
        press(&mut view, KeyCode::Down);
        press(&mut view, KeyCode::Char('s'));
        assert_eq!(press(&mut view, KeyCode::Char('q')), Effect::Nothing, "an answer other than y");
        assert_eq!(press(&mut view, KeyCode::Char('y')), Effect::Nothing);
        press(&mut view, KeyCode::Char('s'));
        // The agent that was asked about is stopped, whatever is selected in the meantime.
        view.set_rows(vec![row("lab")]);
        assert_eq!(press(&mut view, KeyCode::Char('y')), Effect::Stop("work".to_owned()));
        assert_eq!(press(&mut view, KeyCode::Char('q')), Effect::Quit(Exit::Success));
        let interrupt = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert_eq!(effect(&interrupt, &mut view), Effect::Quit(Exit::Interrupted));
    }
}
