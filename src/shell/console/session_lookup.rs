//! Session lookup for a line: reopening lost sessions and finding the session that has a command.

use std::collections::BTreeMap;
use std::time::Duration;

use super::execute::{Ended, Executor, Loss};
use super::links::Link;
use super::script::{Refused, Script};
use super::terminal::Tone;
use crate::credential;
use crate::line::{self, Element, Statement};
use crate::nearest::misspelt;
use crate::psrp::record::ErrorRecord;
use crate::transport::session::Session;

/// Delay before a notice that the session is being reopened.
const NOTICE_DELAY: Duration = Duration::from_secs(1);
/// Time limit for fetching the names for a suggestion.
const NAMES_TIMEOUT: Duration = Duration::from_secs(4);
/// PowerShell's error id of an unknown command.
const UNKNOWN_COMMAND: &str = "CommandNotFoundException";

/// Returns the known command that is most similar to a misspelt name. A verb that exists counts as correct: Get-X does
/// not suggest Set-X.
fn similar(name: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let known: Vec<String> = known.into_iter().collect();
    let verb = |name: &str| name.split_once('-').map(|(verb, _)| verb.to_lowercase());
    let own = verb(name).filter(|own| known.iter().any(|one| verb(one).as_ref() == Some(own)));
    let candidates = known.iter().map(String::as_str).filter(|one| {
        let is_other = !one.eq_ignore_ascii_case(name);
        is_other && (own.is_none() || verb(one) == own)
    });
    misspelt(name, candidates).map(str::to_owned)
}

/// Returns the most similar command of the endpoint (`there`) or of the console; an alias with its command.
fn nearest(name: &str, there: Vec<String>) -> Option<String> {
    let here =
        line::local_cmdlets().chain(line::own_names()).chain(line::all_aliases().map(|(alias, _)| alias));
    let near = similar(name, there.into_iter().chain(here.map(str::to_owned)))?;
    let command = line::all_aliases().find(|(alias, _)| alias.eq_ignore_ascii_case(&near));
    Some(command.map(|(alias, command)| format!("{alias} ({command})")).unwrap_or(near))
}

impl Executor {
    /// Returns the session of a connection and reopens it if it was lost. On `Err`, the line has ended and
    /// the reason has been shown.
    pub(super) async fn session(&self, link: &Link) -> Result<Session, Ended> {
        if let Some(session) = link.connection.current() {
            return Ok(session);
        }
        let connecting = async {
            let mut session = std::pin::pin!(link.connection.session());
            if let Ok(done) = tokio::time::timeout(NOTICE_DELAY, &mut session).await {
                return done;
            }
            if !credential::is_asking() {
                let text = format!("Reconnecting to '{}'. Press Ctrl-C to cancel.", link.name);
                self.terminal.toned(Tone::Plain, &text);
            }
            session.await
        };
        let connected = tokio::select! {
            connected = connecting => connected,
            () = self.interrupts.next() => return Err(Ended::Interrupted),
        };
        connected.map_err(|error| {
            let advice = error.advice.map(|advice| format!("\n{advice}")).unwrap_or_default();
            self.lost(&format!(
                "cannot open a session for '{}': {}; the line was not run{advice}",
                link.name, error.text
            ));
            Ended::Lost(Loss::NotRun)
        })
    }

    /// Asks the sessions that may have a statement's commands, if their owner is unknown.
    pub(super) async fn find_owners(&self, statement: &Statement) -> Option<Ended> {
        for element in &statement.pipeline {
            let Element::Command(command) = element else { continue };
            let name = line::remote_name(&command.name);
            if line::is_local(&command.name) {
                continue;
            }
            for at in self.links.candidates(name) {
                let link = &self.links.all()[at];
                let session = match self.session(link).await {
                    Ok(session) => session,
                    Err(ended) => return Some(ended),
                };
                let asked = tokio::select! {
                    asked = link.catalogue.ask(&session, name) => asked,
                    () = self.interrupts.next() => return Some(Ended::Interrupted),
                };
                match asked {
                    Ok(true) => break,
                    Ok(false) => {}
                    // A command that may be meant for this session must not run on another one.
                    Err(error) => {
                        self.lost(&format!(
                            "cannot look up {name} on '{}': {error}; the line was not run",
                            link.name
                        ));
                        return Some(Ended::Lost(Loss::NotRun));
                    }
                }
            }
        }
        None
    }

    /// Returns a refusal if a script uses built-in PowerShell commands that neither the console nor a session
    /// has. Other unknown commands are left to the endpoint to refuse.
    ///
    /// # Errors
    /// Ctrl-C; the script is not run.
    pub(super) async fn unavailable(&self, script: &Script) -> Result<Option<Refused>, Ended> {
        let mut known: BTreeMap<String, bool> = BTreeMap::new();
        let mut missing = Vec::new();
        for (script, command) in script.commands() {
            let name = line::remote_name(&command.name);
            if line::is_local(&command.name) || line::is_own(command) || !line::is_builtin(name) {
                continue;
            }
            let key = name.to_lowercase();
            let is_there = match known.get(&key) {
                Some(is_there) => *is_there,
                None => line::is_here(command) || self.has(name).await?,
            };
            known.insert(key, is_there);
            if !is_there {
                missing.push((script, command));
            }
        }
        Ok((!missing.is_empty()).then(|| Refused::missing(&missing)))
    }

    /// Returns whether a session has a command or its answer is unclear.
    async fn has(&self, name: &str) -> Result<bool, Ended> {
        if self.links.owner(name).is_some() {
            return Ok(true);
        }
        for link in self.links.all() {
            // Running the line reports the missing session.
            let Some(session) = link.connection.current() else { return Ok(true) };
            let found = tokio::select! {
                found = link.catalogue.find(&session, name, false) => found,
                () = self.interrupts.next() => return Err(Ended::Interrupted),
            };
            if !matches!(found, Ok(Some(_))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches the names of all commands unless they are known, if the error is about an unknown command.
    pub(super) async fn learn_similar(&self, record: &ErrorRecord) {
        if record.fully_qualified_id == UNKNOWN_COMMAND {
            // Without the names, there is no suggestion.
            let _ = tokio::time::timeout(NAMES_TIMEOUT, self.learn_names()).await;
        }
    }

    /// Returns the text of an error, with a similar command if the command is not known.
    pub(super) fn explained(&self, record: &ErrorRecord) -> String {
        let text = line::error::render(record);
        if record.fully_qualified_id != UNKNOWN_COMMAND {
            return text;
        }
        let quoted = record.message.split_once('\'').and_then(|(_, rest)| rest.split_once('\''));
        let Some((name, _)) = quoted else { return text };
        match nearest(name, self.links.names()) {
            Some(near) => format!("{text}\nDid you mean {near}?"),
            None => text,
        }
    }

    /// Fetches the names of all commands unless they are known. Ctrl-C skips it.
    pub(super) async fn learn_names(&self) {
        for link in self.links.all() {
            let Some(session) = link.connection.current() else { continue };
            tokio::select! {
                learned = link.catalogue.learn(&session) => if let Err(error) = learned {
                    tracing::debug!(%error, "cannot list the command names");
                },
                () = self.interrupts.next() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_command_is_found() {
        let known = ["Get-CsTenant", "Get-CsOnlineUser", "Get-ChildItem", "Set-CsUser"];
        for (typed, meant) in [
            ("Get-CsTenat", Some("Get-CsTenant")),
            ("get-csonlinesuer", Some("Get-CsOnlineUser")),
            ("Get-Chilitem", Some("Get-ChildItem")),
            ("Get-CsNothing", None),
            ("Get-CsUser", None),
            ("x", None),
            ("selct", Some("select (Select-Object)")),
            ("mesure", Some("measure (Measure-Object)")),
            ("gmc", Some("gcm (Get-Command)")),
            ("slecet", None),
            ("sotr", Some("sort (Sort-Object)")),
            ("hlep", Some("help (Get-Help)")),
            ("exti", Some("exit")),
            ("clera", Some("clear (Clear-Host)")),
            ("Slect-Object", Some("Select-Object")),
            ("zz", None),
        ] {
            let found = nearest(typed, known.map(str::to_owned).to_vec());
            assert_eq!(found.as_deref(), meant, "{typed}");
        }
    }
}
