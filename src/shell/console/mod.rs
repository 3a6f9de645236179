//! The built-in shell: lines go through [`crate::line`], what they leave to the endpoint through the
//! session, and what comes back is shown.

mod beside;
mod catalogue;
mod echoes;
mod editor;
mod execute;
mod flow;
mod history;
mod host;
mod interrupts;
mod links;
mod news;
mod progress;
mod reach;
mod terminal;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use catalogue::Catalogue;
use editor::{Editor, Turn};
use execute::{Ended, Executor};
use links::{Link, Links};
use miette::IntoDiagnostic as _;
use news::News;
use terminal::{Terminal, Tone};

use crate::folders::Folders;
use crate::line::complete::What;
use crate::profile::{Connections, Profile};
use crate::psrp::host::HostInfo;
use crate::shell::{Attached, Losses};

/// What outlives one session: the terminal, the names that completion knows, the history's place.
pub struct Console {
    title: String,
    terminal: Terminal,
    parts: Vec<Part>,
    history: Option<PathBuf>,
}

/// What is known of one connection.
struct Part {
    profile: String,
    prefix: Option<String>,
    catalogue: Catalogue,
}

impl Console {
    pub fn new(folders: &Folders, connections: &Connections) -> Self {
        // One connection alone has no names to tell apart.
        let several = connections.profiles.len() > 1;
        let part = |profile: &Profile| Part {
            profile: profile.name.clone(),
            prefix: profile.import.prefix.clone().filter(|_| several),
            catalogue: Catalogue::load(Some(cached(folders, profile))),
        };
        Self {
            title: connections.name.clone(),
            terminal: Terminal::new(),
            parts: connections.profiles.iter().map(part).collect(),
            history: Some(history_file(folders, &connections.name)),
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

    /// Removes what is kept for a profile: its lines, and where the profile can be read the names for
    /// completion.
    pub fn discard(folders: &Folders, name: &str, profile: Option<&Profile>) -> std::io::Result<()> {
        for file in
            profile.map(|profile| cached(folders, profile)).into_iter().chain([history_file(folders, name)])
        {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What becomes of a session that is lost under this console.
    pub fn losses(&self) -> Losses {
        match self.terminal.interactive {
            true => Losses::Mend,
            false => Losses::End,
        }
    }

    /// The host data of this terminal as it is now.
    pub fn host(&self) -> HostInfo {
        host_info(&self.terminal)
    }
}

fn host_info(terminal: &Terminal) -> HostInfo {
    let (columns, rows) = terminal.size();
    let size = (i32::from(columns), i32::from(rows));
    // -1 is what PowerShell on Unix says of colours that it doesn't know.
    HostInfo {
        window: size,
        buffer: size,
        foreground: -1,
        background: -1,
        title: String::new(),
        is_null: false,
    }
}

fn history_file(folders: &Folders, name: &str) -> PathBuf {
    folders.state.join("history").join(format!("{name}.txt"))
}

/// A file name for what an endpoint offers an account: readable, and the same for the same two.
fn cached(folders: &Folders, profile: &Profile) -> PathBuf {
    folders.cache.join("commands").join(format!("{}.json", cache_key(profile)))
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
    format!("{}-{}", profile.name, name.chars().take(120).collect::<String>())
}

/// Reads lines and runs them until the person leaves or the input ends; gives the exit code.
pub async fn run(console: &Console, attached: Vec<Attached>) -> miette::Result<u8> {
    let terminal = &console.terminal;
    let links = attached.iter().filter_map(|one| console.link(one)).collect();
    let links = Links::new(links).ok_or_else(|| miette::miette!("the console has no session"))?;
    let mut beside = tokio::task::JoinSet::new();
    if terminal.interactive {
        for link in links.all() {
            if !link.catalogue.is_empty() {
                here(terminal, link, link.catalogue.names().len());
            }
            // For completion. What the cache says may have changed since.
            beside.spawn(beside::learn(link.clone()));
        }
    }
    let news = News::new(terminal.clone());
    for mut one in attached {
        // What is known already stands before the first prompt.
        while let Ok(text) = one.notices.try_recv() {
            news.say(Tone::Warning, &text);
        }
        beside.spawn(beside::watch(one, terminal.clone(), news.clone()));
    }
    let mut executor = Executor::new(links.clone(), terminal.clone());
    // What still runs beside ends with the console.
    match terminal.interactive {
        true => typed(console, links, &mut executor, &news).await,
        false => piped(terminal, &mut executor).await,
    }
}

/// The last step of connecting, as the person sees it.
fn here(terminal: &Terminal, link: &Link, count: usize) {
    terminal.line(&format!("{count} commands of '{}' are here.", link.name));
}

/// A person at a terminal.
async fn typed(console: &Console, links: Links, executor: &mut Executor, news: &News) -> miette::Result<u8> {
    let completer = completer(links, tokio::runtime::Handle::current());
    if let Some(folder) = console.history.as_deref().and_then(std::path::Path::parent) {
        // Without it the history lasts as long as the console.
        let _ = crate::platform::private_folder(folder);
    }
    let editor = Editor::new(&console.title, console.history.clone(), completer, news.waker());
    let editor =
        Arc::new(Mutex::new(editor.map_err(|error| miette::miette!("the terminal can't be used: {error}"))?));
    loop {
        console.terminal.fresh_line();
        news.begin_typing();
        let reader = editor.clone();
        let turn = tokio::task::spawn_blocking(move || match reader.lock() {
            Ok(mut editor) => editor.read(),
            Err(_) => Ok(Turn::Leave),
        });
        let turn = turn.await;
        news.end_typing(matches!(turn, Ok(Ok(Turn::Woken))));
        let turn = turn.map_err(|error| miette::miette!("the line editor failed: {error}"))?;
        match turn.map_err(|error| miette::miette!("the terminal can't be read: {error}"))? {
            Turn::Line(text) => match executor.run_typed(&text).await {
                Ended::Exit(code) => return Ok(code),
                // A session that was lost is made again, and the next line finds it.
                Ended::Succeeded | Ended::Failed | Ended::Interrupted | Ended::Lost => {}
            },
            Turn::Dropped | Turn::Woken => {}
            Turn::Leave => return Ok(0),
        }
    }
}

/// The exit code of what Ctrl-C ended: 128 and the signal's number, as shells have it.
const INTERRUPTED: u8 = 130;

/// The exit code where the session was lost while something ran, or before it could.
const LOST: u8 = 4;

/// The exit code where nobody reads the output any more: as if SIGPIPE had ended it.
const UNREAD: u8 = 141;

/// Lines from a pipe or a file: a statement may take several of them.
async fn piped(terminal: &Terminal, executor: &mut Executor) -> miette::Result<u8> {
    let mut last = Ended::Succeeded;
    let mut text = String::new();
    loop {
        let reader = terminal.clone();
        let line = tokio::select! {
            line = tokio::task::spawn_blocking(move || reader.next_piped()) => line,
            () = executor.interrupts.next() => return Ok(INTERRUPTED),
        };
        let line = line.into_diagnostic()??;
        let ended = line.is_none();
        if let Some(line) = line {
            text.push_str(&line);
            if crate::line::is_incomplete(&text) {
                text.push('\n');
                continue;
            }
        }
        if !text.trim().is_empty() {
            last = executor.run(&std::mem::take(&mut text)).await;
        }
        text.clear();
        match terminal.lost() {
            None => {}
            Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(UNREAD),
            Some(error) => return Err(miette::miette!("standard output can't be written: {error}")),
        }
        match last {
            Ended::Exit(code) => return Ok(code),
            Ended::Interrupted => return Ok(INTERRUPTED),
            Ended::Lost => return Ok(LOST),
            Ended::Failed if ended => return Ok(1),
            Ended::Succeeded if ended => return Ok(0),
            Ended::Succeeded | Ended::Failed => {}
        }
    }
}

/// Candidates for the editor, which asks from a thread of its own.
fn completer(
    links: Links,
    runtime: tokio::runtime::Handle,
) -> impl FnMut(&str, usize) -> (std::ops::Range<usize>, Vec<String>) + Send + 'static {
    move |text, cursor| {
        let found = crate::line::complete::complete(text, cursor);
        let begins = |prefix: &str, word: &str| {
            word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let candidates = match &found.what {
            What::Command(prefix) => {
                let mut names = runtime.block_on(links.names_soon());
                names.extend(crate::line::local_cmdlets().map(str::to_owned));
                names.sort_by_key(|name| name.to_lowercase());
                names.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
                names.retain(|name| begins(prefix, name));
                names
            }
            What::Parameter { command, prefix } => match links.owner(command) {
                None => Vec::new(),
                Some((at, command)) => {
                    let link = &links.all()[at];
                    let session = link.connection.current();
                    let known = runtime.block_on(link.catalogue.parameters(session.as_ref(), &command));
                    let known = known.unwrap_or_default().into_iter();
                    known.filter(|name| begins(prefix, name)).map(|name| format!("-{name}")).collect()
                }
            },
            What::Nothing => Vec::new(),
        };
        (found.span, candidates)
    }
}
