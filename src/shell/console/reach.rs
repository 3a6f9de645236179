//! Sessions for a line: reconnects lost sessions, and finds the session of a command.

use std::collections::BTreeMap;
use std::time::Duration;

use super::execute::{Ended, Executor};
use super::links::Link;
use super::script::{Refused, Script};
use super::terminal::Tone;
use crate::credential;
use crate::line::{self, Element, Statement};
use crate::transport::session::Session;

/// Delay before the message about reconnecting.
const PATIENCE: Duration = Duration::from_secs(1);

impl Executor {
    /// Returns the session of a connection, and opens a new one if it was lost. After a failure, which is
    /// reported, returns the result of the line.
    pub(super) async fn session(&self, link: &Link) -> Result<Session, Ended> {
        if let Some(session) = link.connection.current() {
            return Ok(session);
        }
        let connecting = async {
            let mut session = std::pin::pin!(link.connection.session());
            if let Ok(done) = tokio::time::timeout(PATIENCE, &mut session).await {
                return done;
            }
            if !credential::is_asking() {
                let text = format!("Reconnecting to '{}'; press Ctrl-C to stop waiting.", link.name);
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
                "'{}' has no session: {}; the line was not run{advice}",
                link.name, error.text
            ));
            Ended::Lost
        })
    }

    /// Asks the sessions about a line's commands, if the sessions of the commands are not known.
    pub(super) async fn find_out(&self, statement: &Statement) -> Option<Ended> {
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
                    // The command may belong to this session and must not run on another one.
                    Err(error) => {
                        self.lost(&format!(
                            "cannot check whether '{}' has {name}: {error}; the line was not run",
                            link.name
                        ));
                        return Some(Ended::Lost);
                    }
                }
            }
        }
        None
    }

    /// Returns the commands of PowerShell in a script that neither the console nor a session has: the script
    /// is refused. The endpoint itself refuses other commands.
    ///
    /// # Errors
    /// Ctrl-C: the script is not run.
    pub(super) async fn lacks(&self, script: &Script) -> Result<Option<Refused>, Ended> {
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
                None => self.has(name).await?,
            };
            known.insert(key, is_there);
            if !is_there {
                missing.push((script, command));
            }
        }
        Ok((!missing.is_empty()).then(|| Refused::missing(&missing)))
    }

    /// Asks whether a session has a command.
    async fn has(&self, name: &str) -> Result<bool, Ended> {
        if line::is_here(name) || self.links.owner(name).is_some() {
            return Ok(true);
        }
        for link in self.links.all() {
            // A missing session is reported when the line runs.
            let Some(session) = link.connection.current() else { return Ok(true) };
            let found = tokio::select! {
                found = link.catalogue.find(&session, name) => found,
                () = self.interrupts.next() => return Err(Ended::Interrupted),
            };
            if !matches!(found, Ok(Some(_))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists the names of all commands, if they are not known yet. Ctrl-C skips the list.
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
