//! The built-in shell. It plans input lines with [`crate::line`], runs the remote part in the session and
//! displays the results.

mod background;
mod catalogue;
mod completion;
mod echoes;
mod editor;
pub mod exec;
mod execute;
mod facts;
mod flow;
mod history;
mod host;
mod interrupts;
mod links;
mod local_cmdlets;
mod notices;
mod own;
mod pager;
mod paging;
mod progress;
mod script;
mod session_lookup;
mod terminal;
mod transcript;
mod trouble;
mod typed_ahead;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalogue::Catalogue;
use editor::{EditorInput, Reader};
use exec::ExecOutput;
pub use execute::Lost;
use execute::{Ended, Executor};
use facts::Facts;
use links::{Link, Links};
use miette::IntoDiagnostic as _;
use notices::SessionNotices;
pub use script::standard_input;
pub use script::{Refused, Script};
use terminal::{Terminal, Tone};
use tokio::task::JoinHandle;

use crate::exit::Exit;
use crate::files::replace::{move_file, remove, remove_folder};
use crate::folders::Folders;
use crate::profile::{Connections, Profile};
use crate::psrp::host::HostInfo;
use crate::shell::{Attached, OnLoss};

/// Console state that outlives a session: terminal, completion names, history file.
pub struct Console {
    title: String,
    terminal: Terminal,
    parts: Vec<Part>,
    history: Option<PathBuf>,
    /// Folder of the transcripts.
    transcript: Option<PathBuf>,
}

/// Cached data of one connection.
struct Part {
    profile: String,
    prefix: Option<String>,
    catalogue: Catalogue,
}

impl Console {
    pub fn new(folders: &Folders, connections: &Connections) -> Self {
        Self::with(folders, connections, Terminal::new())
    }

    /// Creates the console of `lyncsh exec`. `can_ask`: whether the endpoint may ask the user.
    pub fn of_exec(
        folders: &Folders,
        connections: &Connections,
        output: Arc<dyn ExecOutput>,
        can_ask: bool,
    ) -> Self {
        Self::with(folders, connections, Terminal::of_exec(output, can_ask))
    }

    fn with(folders: &Folders, connections: &Connections, terminal: Terminal) -> Self {
        let part = |profile: &Profile| Part {
            profile: profile.name.clone(),
            prefix: profile.import.prefix.clone(),
            catalogue: Catalogue::load(Some(cached(folders, profile))),
        };
        Self {
            title: connections.name.clone(),
            terminal,
            parts: connections.profiles.iter().map(part).collect(),
            history: Some(history_file(folders, &connections.name)),
            transcript: connections.profiles.iter().find_map(|profile| profile.transcript.clone()),
        }
    }

    fn link(&self, attached: &Attached) -> Option<Link> {
        let part = self.parts.iter().find(|part| part.profile == attached.name)?;
        Some(Link {
            name: part.profile.clone(),
            prefix: part.prefix.clone(),
            connection: attached.connection.clone(),
            catalogue: part.catalogue.clone(),
        })
    }

    /// Removes a profile's history and cached completion names.
    pub fn discard(folders: &Folders, name: &str) -> std::io::Result<()> {
        remove(&history_file(folders, name))?;
        remove_folder(&cache_folder(folders, name))
    }

    /// Moves a profile's history and cached completion names to its new name.
    pub fn rename(folders: &Folders, old: &str, new: &str) -> std::io::Result<()> {
        move_file(&history_file(folders, old), &history_file(folders, new))?;
        let to = cache_folder(folders, new);
        remove_folder(&to)?;
        move_file(&cache_folder(folders, old), &to)
    }

    /// Reports why a script was refused.
    pub fn refuse(&self, refused: &Refused) -> Exit {
        for line in refused.lines(&self.title, self.transcript.is_some()) {
            self.terminal.toned(Tone::Error, &line);
        }
        Exit::Usage
    }

    /// Returns how a lost session is handled in this console.
    pub fn on_loss(&self) -> OnLoss {
        if self.terminal.is_prompt() { OnLoss::Reconnect } else { OnLoss::Exit }
    }

    /// Returns the current host data of this terminal.
    pub fn host(&self) -> HostInfo {
        host_info(&self.terminal)
    }
}

fn host_info(terminal: &Terminal) -> HostInfo {
    let (columns, rows) = terminal.size();
    let size = (i32::from(columns), i32::from(rows));
    HostInfo { window: size, buffer: size, ..HostInfo::default() }
}

fn history_file(folders: &Folders, name: &str) -> PathBuf {
    folders.state.join("history").join(format!("{name}.txt"))
}

/// Returns the names of the endpoint's commands, as far as they are cached.
pub fn known_commands(folders: &Folders, profile: &Profile) -> Vec<String> {
    Catalogue::load(Some(cached(folders, profile))).names()
}

/// Returns the folder of a profile's cached completion names: the settings of the profile may have changed.
fn cache_folder(folders: &Folders, name: &str) -> PathBuf {
    folders.cache.join("commands").join(name)
}

/// Returns the cache file for the commands that an endpoint offers to a profile's account.
fn cached(folders: &Folders, profile: &Profile) -> PathBuf {
    cache_folder(folders, &profile.name).join(format!("{}.json", cache_key(profile)))
}

fn cache_key(profile: &Profile) -> String {
    let endpoint = profile.uri.as_ref().or(profile.discovery.as_ref()).map(ToString::to_string);
    let parts = [
        endpoint.as_deref(),
        profile.domain.as_deref(),
        profile.user.as_deref(),
        Some(&profile.configuration),
    ];
    let whole: Vec<_> = parts.into_iter().flatten().collect();
    let name: String = whole
        .join(" ")
        .chars()
        .map(|one| if one.is_ascii_alphanumeric() || one == '.' { one } else { '_' })
        .collect();
    name.chars().take(120).collect()
}

/// Input of a console.
pub enum Input {
    /// Lines typed at a terminal, run one by one. The output may be redirected.
    Typed,
    /// A script and its arguments.
    Script { script: Script, arguments: Vec<String> },
    /// Standard input that is still being read.
    Coming(JoinHandle<Result<Script, Refused>>),
}

/// Maximum wait for the end of standard input before connecting, so that an invalid script is refused without a
/// session.
const INPUT_WAIT: Duration = Duration::from_millis(250);

impl Input {
    /// Reads a script file with its arguments, or standard input unless it is a terminal. On `Err`, the
    /// reason has been shown; the value is the exit code.
    pub async fn read(console: &Console, words: &[String]) -> Result<Self, Exit> {
        let read = match words {
            [] if std::io::stdin().is_terminal() => return Ok(Self::Typed),
            [] => {
                let mut reading = tokio::task::spawn_blocking(Script::from_stdin);
                tokio::select! {
                    read = &mut reading => read.map_err(|_| Exit::Failed)?,
                    _ = tokio::signal::ctrl_c() => return Err(Exit::Interrupted),
                    () = tokio::time::sleep(INPUT_WAIT) => return Ok(Self::Coming(reading)),
                }
            }
            [path, ..] => Script::from_file(std::path::Path::new(path)),
        };
        let arguments = words.iter().skip(1).cloned().collect();
        match read {
            Ok(script) => Ok(Self::Script { script, arguments }),
            Err(refused) => Err(console.refuse(&refused)),
        }
    }
}

/// Runs lines until the user leaves, or a script to its end. Returns the exit code.
pub async fn run(console: &Console, attached: Vec<Attached>, input: Input) -> miette::Result<u8> {
    let terminal = &console.terminal;
    if let Some(folder) = &console.transcript
        && let Err(problem) = terminal.recorder.start_session(folder, &console.title)
    {
        terminal.toned(Tone::Warning, &problem.to_string());
    }
    let links = attached.iter().filter_map(|one| console.link(one)).collect();
    let links = Links::new(links).ok_or_else(|| miette::miette!("the console has no session"))?;
    let mut beside = tokio::task::JoinSet::new();
    if terminal.is_prompt() {
        for link in links.all() {
            if !link.catalogue.is_empty() {
                report_available(terminal, link, link.catalogue.names().len());
            }
            // For completion: the cached names may be out of date.
            beside.spawn(background::learn(link.clone()));
        }
    }
    let news = SessionNotices::new(terminal.clone());
    let facts = Facts::default();
    for mut one in attached {
        // Show pending notices before the first prompt.
        while let Ok(text) = one.notices.try_recv() {
            news.show(Tone::Warning, &text);
        }
        beside.spawn(background::watch(one, terminal.clone(), news.clone(), facts.clone()));
    }
    let mut executor =
        Executor::new(links.clone(), (&console.title, console.transcript.is_some()), terminal.clone(), facts);
    // Dropping `beside` ends the remaining background tasks.
    match input {
        Input::Script { script, arguments } => {
            let ended = executor.run_script(&script, &arguments).await;
            terminal.finish();
            exit_code(terminal, &executor, ended)
        }
        Input::Coming(reading) => {
            let read = tokio::select! {
                read = reading => read.into_diagnostic()?,
                () = executor.interrupts.next() => return Ok(Exit::Interrupted.code()),
            };
            let script = match read {
                Ok(script) => script,
                Err(refused) => return Ok(console.refuse(&refused).code()),
            };
            let ended = executor.run_script(&script, &[]).await;
            exit_code(terminal, &executor, ended)
        }
        Input::Typed if terminal.is_prompt() => run_interactive(console, links, &mut executor, &news).await,
        Input::Typed => run_lines(terminal, &mut executor).await,
    }
}

/// Reports the number of available commands, the last step of connecting.
fn report_available(terminal: &Terminal, link: &Link, count: usize) {
    terminal.toned(Tone::Plain, &format!("{count} commands available from '{}'.", link.name));
}

/// Runs lines typed at a terminal.
async fn run_interactive(
    console: &Console,
    links: Links,
    executor: &mut Executor,
    news: &SessionNotices,
) -> miette::Result<u8> {
    executor.seen.update(&executor.variables);
    let completer = completion::completer(links, executor.seen.clone(), tokio::runtime::Handle::current());
    if let Some(folder) = console.history.as_deref().and_then(std::path::Path::parent) {
        // Without the folder, the history is kept in memory only.
        let _ = crate::platform::private_folder(folder);
    }
    let history = console.history.clone();
    let reader = Reader::new(&console.terminal, &console.title, history, completer, news.waker());
    let mut reader = reader.map_err(|error| miette::miette!("cannot use the terminal: {error}"))?;
    loop {
        console.terminal.fresh_line();
        news.begin_typing();
        let turn = reader.read().await;
        news.end_typing(matches!(turn, Ok(EditorInput::Woken)));
        match turn.map_err(|error| miette::miette!("cannot read from the terminal: {error}"))? {
            EditorInput::Line(text) => match executor.run_typed(&text).await {
                Ended::Exit(code) => return Ok(code),
                // The next line uses the reopened session.
                Ended::Succeeded | Ended::Failed | Ended::Silenced => {}
                // The lines may depend on the interrupted one, or on the variables of the lost session.
                Ended::Stopped | Ended::Interrupted | Ended::Lost(_) => console.terminal.typed_ahead.clear(),
            },
            EditorInput::Dropped => console.terminal.typed_ahead.clear(),
            EditorInput::Woken => {}
            EditorInput::Leave => return Ok(0),
        }
    }
}

/// Returns the program's exit code after a script.
fn exit_code(terminal: &Terminal, executor: &Executor, ended: Ended) -> miette::Result<u8> {
    match terminal.lost() {
        None => {}
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Exit::BrokenPipe.code()),
        Some(error) => return Err(miette::miette!("cannot write to standard output: {error}")),
    }
    match ended {
        Ended::Lost(loss) => Err(executor.lost_session(loss).into()),
        ended => Ok(executor.exit(ended).code()),
    }
}

/// Runs typed lines with redirected output. A statement may span several lines.
async fn run_lines(terminal: &Terminal, executor: &mut Executor) -> miette::Result<u8> {
    let mut text = String::new();
    loop {
        let reader = terminal.clone();
        let line = tokio::select! {
            line = tokio::task::spawn_blocking(move || reader.next_piped()) => line,
            () = executor.interrupts.next() => return Ok(Exit::Interrupted.code()),
        };
        let line = line.into_diagnostic()??;
        let is_end = line.is_none();
        if let Some(line) = line {
            text.push_str(&line);
            if crate::line::is_incomplete(&text) {
                text.push('\n');
                continue;
            }
        }
        let mut ended = Ended::Succeeded;
        if !text.trim().is_empty() {
            ended = executor.run_typed(&std::mem::take(&mut text)).await;
        }
        text.clear();
        let continues = matches!(ended, Ended::Succeeded | Ended::Failed | Ended::Silenced | Ended::Stopped);
        if is_end || !continues || terminal.lost().is_some() {
            return exit_code(terminal, executor, ended);
        }
    }
}
