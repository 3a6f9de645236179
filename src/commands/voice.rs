//! What a shell is told of its session: each loss once, and of the next session once.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::agent::control::{ControlEvent, Failure};
use crate::agent::launch::{Agent, AgentEvent};
use crate::shell::Losses;
use crate::shell::connection::NoSession;

/// How much later than a new session the report of the loss may come.
const LATE: Duration = Duration::from_secs(1);

/// What an agent's report means for a session.
pub enum Heard {
    Nothing,
    /// The session was lost; the agent makes another.
    Lost,
    /// It could not be made yet.
    Away(Failure),
    /// The agent has ended.
    Ended(Failure),
}

/// Words the reports on one connection.
pub struct Voice {
    name: String,
    pub losses: Losses,
    several: bool,
    lines: mpsc::UnboundedSender<String>,
    /// Whether the loss of the session was reported, and the next session was not.
    is_lost: bool,
    was_refused: bool,
    /// The agent has ended because the endpoint refused the password.
    pub refused: Option<Failure>,
}

impl Voice {
    pub fn new(name: &str, losses: Losses, several: bool) -> Self {
        // Until a shell listens.
        let (lines, _) = mpsc::unbounded_channel();
        Self {
            name: name.to_owned(),
            losses,
            several,
            lines,
            is_lost: false,
            was_refused: false,
            refused: None,
        }
    }

    pub fn listen(&mut self) -> mpsc::UnboundedReceiver<String> {
        let (lines, listening) = mpsc::unbounded_channel();
        self.lines = lines;
        listening
    }

    /// The connection's name, where there are others.
    pub fn label(&self) -> Option<&str> {
        self.several.then_some(self.name.as_str())
    }

    pub fn show(&self, text: &str) {
        let line = if self.several && !text.contains(&format!("'{}'", self.name)) {
            format!("'{}': {text}", self.name)
        } else {
            text.to_owned()
        };
        // A shell that does not listen is leaving.
        let _ = self.lines.send(line);
    }

    /// Takes a report; `None`: the agent has ended without a word.
    pub fn handle(&mut self, told: Option<AgentEvent>) -> Heard {
        match told {
            Some(AgentEvent::Event(ControlEvent::Notice { text })) => self.show(&text),
            Some(AgentEvent::Event(ControlEvent::Lost { reason })) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    self.show(&match self.losses {
                        Losses::Mend => format!("the session was lost ({reason}); connecting again"),
                        Losses::End => format!("the session was lost ({reason})"),
                    });
                }
                return Heard::Lost;
            }
            Some(AgentEvent::Event(ControlEvent::Away(failure))) => return Heard::Away(failure),
            Some(AgentEvent::Event(ControlEvent::PasswordRefused { .. })) => self.was_refused = true,
            Some(AgentEvent::Event(ControlEvent::Failed(failure))) => {
                self.refused = std::mem::take(&mut self.was_refused).then(|| failure.clone());
                return Heard::Ended(failure);
            }
            Some(AgentEvent::Event(ControlEvent::Removed { stopped, .. })) => {
                let who = if stopped { ", by `lyncsh stop`" } else { "" };
                return Heard::Ended(self.end(format!("the session of '{}' was ended{who}", self.name)));
            }
            Some(AgentEvent::Died { left: None }) => {
                let text = format!("the agent of '{}' died; its session is removed", self.name);
                return Heard::Ended(self.end(text));
            }
            Some(AgentEvent::Died { left: Some(left) }) => {
                let name = &self.name;
                let text =
                    format!("the agent of '{name}' died, and its session may still be on the server: {left}");
                return Heard::Ended(self.end(text));
            }
            Some(AgentEvent::Event(_)) => {}
            None => return Heard::Ended(self.end(format!("the agent of '{}' has ended", self.name))),
        }
        Heard::Nothing
    }

    fn end(&self, text: String) -> Failure {
        Failure { text, advice: Some(self.again()) }
    }

    fn again(&self) -> String {
        match self.losses {
            Losses::Mend => "The next line connects again.".to_owned(),
            Losses::End => format!("`lyncsh {}` connects again.", self.name),
        }
    }

    /// Reports how the agent has ended.
    pub fn report(&mut self, failure: &Failure) {
        self.is_lost = true;
        let mut parts = vec![failure.text.clone()];
        parts.extend(failure.advice.clone());
        if self.losses == Losses::Mend && failure.advice.as_ref() != Some(&self.again()) {
            parts.push(self.again());
        }
        self.show(&sentences(&parts));
    }

    /// Reports the new session, after the loss that came before it.
    pub async fn reopened(&mut self, agent: Option<&mut Agent>) {
        if let Some(agent) = agent.filter(|_| !self.is_lost) {
            let late = async { while !matches!(self.handle(agent.next().await), Heard::Lost) {} };
            let _ = tokio::time::timeout(LATE, late).await;
        }
        self.is_lost = false;
        self.show("a new session is open");
    }
}

/// A failure, as it answers a shell's wish for a session.
pub fn no_session(failure: &Failure) -> NoSession {
    NoSession { text: failure.text.clone(), advice: failure.advice.clone() }
}

/// Sentences on one line, each with its full stop.
fn sentences(parts: &[String]) -> String {
    let mut line = String::new();
    for part in parts {
        if !line.is_empty() {
            line.push_str(if line.ends_with('.') { " " } else { ". " });
        }
        line.push_str(part.trim());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(losses: Losses, several: bool) -> (Voice, mpsc::UnboundedReceiver<String>) {
        let mut voice = Voice::new("work", losses, several);
        let lines = voice.listen();
        (voice, lines)
    }

    fn lost() -> Option<AgentEvent> {
        Some(AgentEvent::Event(ControlEvent::Lost { reason: "the server has it no more".to_owned() }))
    }

    #[tokio::test]
    async fn a_loss_is_reported_once_and_the_next_session_once() {
        let (mut voice, mut lines) = voice(Losses::Mend, false);
        for _ in 0..2 {
            assert!(matches!(voice.handle(lost()), Heard::Lost));
            assert!(matches!(voice.handle(lost()), Heard::Lost));
            voice.reopened(None).await;
            let said: Vec<_> = std::iter::from_fn(|| lines.try_recv().ok()).collect();
            assert_eq!(
                said,
                [
                    "the session was lost (the server has it no more); connecting again",
                    "a new session is open"
                ]
            );
        }
    }

    #[test]
    fn an_end_says_what_to_do_and_whose_it_was() {
        let (mut voice, mut lines) = voice(Losses::Mend, true);
        let Heard::Ended(failure) =
            voice.handle(Some(AgentEvent::Event(ControlEvent::Removed { left: None, stopped: true })))
        else {
            panic!("an end");
        };
        voice.report(&failure);
        assert_eq!(
            lines.try_recv().unwrap(),
            "the session of 'work' was ended, by `lyncsh stop`. The next line connects again."
        );
        assert!(matches!(voice.handle(lost()), Heard::Lost));
        assert!(lines.try_recv().is_err(), "it is known already");
        let failure = Failure { text: "x refused it".to_owned(), advice: Some("Check it.".to_owned()) };
        voice.report(&failure);
        assert_eq!(
            lines.try_recv().unwrap(),
            "'work': x refused it. Check it. The next line connects again."
        );
    }
}
