//! Messages to a shell about its session: each loss and each new session once.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::agent::control::{ControlEvent, Failure};
use crate::agent::launch::{Agent, AgentEvent};
use crate::shell::OnLoss;
use crate::shell::connection::NoSession;

/// Maximum delay of a loss report after the report of the new session.
const LATE_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Effect of an agent's report on a session.
pub enum ReportEffect {
    Nothing,
    /// The session was lost; the agent opens another.
    Lost,
    /// The agent could not open the session yet.
    Away(Failure),
    /// The agent ended.
    Ended(Failure),
}

/// Formats the reports of one connection.
pub struct SessionReporter {
    name: String,
    pub on_loss: OnLoss,
    several: bool,
    lines: mpsc::UnboundedSender<String>,
    /// Whether the loss of the session was reported, and the next session was not.
    is_lost: bool,
    was_refused: bool,
    /// The failure of an agent that ended because the endpoint refused the password.
    pub refused: Option<Failure>,
}

impl SessionReporter {
    pub fn new(name: &str, on_loss: OnLoss, several: bool) -> Self {
        // Replaced by `listen`.
        let (lines, _) = mpsc::unbounded_channel();
        Self {
            name: name.to_owned(),
            on_loss,
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

    /// Returns the connection's name, if there are several.
    pub fn label(&self) -> Option<&str> {
        self.several.then_some(self.name.as_str())
    }

    pub fn show(&self, text: &str) {
        let line = if self.several && !text.contains(&format!("'{}'", self.name)) {
            format!("'{}': {text}", self.name)
        } else {
            text.to_owned()
        };
        // Fails if the shell is exiting.
        let _ = self.lines.send(line);
    }

    /// Handles a report. `None` means that the agent ended without a report.
    pub fn handle(&mut self, event: Option<AgentEvent>) -> ReportEffect {
        match event {
            Some(AgentEvent::Event(ControlEvent::Notice { text })) => self.show(&text),
            Some(AgentEvent::Event(ControlEvent::Lost { reason })) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    self.show(&match self.on_loss {
                        OnLoss::Reconnect => format!("the session was lost ({reason}); connecting again"),
                        OnLoss::Exit => format!("the session was lost ({reason})"),
                    });
                }
                return ReportEffect::Lost;
            }
            Some(AgentEvent::Event(ControlEvent::Away(failure))) => return ReportEffect::Away(failure),
            Some(AgentEvent::Event(ControlEvent::PasswordRefused { .. })) => self.was_refused = true,
            Some(AgentEvent::Event(ControlEvent::Failed(failure))) => {
                self.refused = std::mem::take(&mut self.was_refused).then(|| failure.clone());
                return ReportEffect::Ended(failure);
            }
            Some(AgentEvent::Event(ControlEvent::Removed { stopped, .. })) => {
                let cause = if stopped { ", by `lyncsh stop`" } else { "" };
                return ReportEffect::Ended(
                    self.end(format!("the session of '{}' was ended{cause}", self.name)),
                );
            }
            Some(AgentEvent::Died { left: None }) => {
                let text = format!("the agent of '{}' died; its session is removed", self.name);
                return ReportEffect::Ended(self.end(text));
            }
            Some(AgentEvent::Died { left: Some(left) }) => {
                let name = &self.name;
                let text =
                    format!("the agent of '{name}' died; its session may still be on the server: {left}");
                return ReportEffect::Ended(self.end(text));
            }
            Some(AgentEvent::Event(_)) => {}
            None => return ReportEffect::Ended(self.end(format!("the agent of '{}' has ended", self.name))),
        }
        ReportEffect::Nothing
    }

    fn end(&self, text: String) -> Failure {
        Failure { text, advice: Some(self.again()) }
    }

    fn again(&self) -> String {
        match self.on_loss {
            OnLoss::Reconnect => "The next line connects again.".to_owned(),
            OnLoss::Exit => format!("`lyncsh {}` connects again.", self.name),
        }
    }

    /// Reports the end of the agent.
    pub fn report(&mut self, failure: &Failure) {
        self.is_lost = true;
        let mut parts = vec![failure.text.clone()];
        parts.extend(failure.advice.clone());
        if self.on_loss == OnLoss::Reconnect && failure.advice.as_ref() != Some(&self.again()) {
            parts.push(self.again());
        }
        self.show(&sentences(&parts));
    }

    /// Reports the new session. If the loss was not reported yet, waits briefly for its report among the agent's next
    /// reports. Returns the failure if the agent has ended.
    pub async fn reopened(&mut self, agent: Option<&mut Agent>) -> Option<Failure> {
        if let Some(agent) = agent.filter(|_| !self.is_lost) {
            let late = async {
                loop {
                    if let ControlFlow::Break(failure) = self.handle_before_loss(agent.next().await) {
                        return failure;
                    }
                }
            };
            if let Ok(Some(failure)) = tokio::time::timeout(LATE_REPORT_TIMEOUT, late).await {
                return Some(failure);
            }
        }
        self.is_lost = false;
        self.show("a new session is open");
        None
    }

    /// Handles a report before the late report of a loss. Breaks after that report, and with the failure at the end of
    /// the agent.
    fn handle_before_loss(&mut self, event: Option<AgentEvent>) -> ControlFlow<Option<Failure>> {
        match self.handle(event) {
            ReportEffect::Lost => ControlFlow::Break(None),
            ReportEffect::Ended(failure) => ControlFlow::Break(Some(failure)),
            // A failed attempt before the session that is open now.
            ReportEffect::Away(_) | ReportEffect::Nothing => ControlFlow::Continue(()),
        }
    }
}

/// Converts a failure into the answer to a shell's session request.
pub fn no_session(failure: &Failure) -> NoSession {
    NoSession { text: failure.text.clone(), advice: failure.advice.clone() }
}

/// Joins sentences on one line, each with a full stop.
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

    fn reporter(on_loss: OnLoss, several: bool) -> (SessionReporter, mpsc::UnboundedReceiver<String>) {
        let mut reporter = SessionReporter::new("work", on_loss, several);
        let lines = reporter.listen();
        (reporter, lines)
    }

    fn lost() -> Option<AgentEvent> {
        Some(AgentEvent::Event(ControlEvent::Lost {
            reason: "the shell no longer exists on the server".to_owned(),
        }))
    }

    #[tokio::test]
    async fn a_loss_and_the_new_session_are_reported_once() {
        let (mut reporter, mut lines) = reporter(OnLoss::Reconnect, false);
        for _ in 0..2 {
            assert!(matches!(reporter.handle(lost()), ReportEffect::Lost));
            assert!(matches!(reporter.handle(lost()), ReportEffect::Lost));
            assert!(reporter.reopened(None).await.is_none());
            let lines: Vec<_> = std::iter::from_fn(|| lines.try_recv().ok()).collect();
            assert_eq!(
                lines,
                [
                    "the session was lost (the shell no longer exists on the server); connecting again",
                    "a new session is open"
                ]
            );
        }
    }

    #[test]
    fn the_end_of_the_agent_ends_the_wait_for_a_late_loss_report() {
        let (mut reporter, _lines) = reporter(OnLoss::Reconnect, false);
        let away = Failure { text: "no answer".to_owned(), advice: None };
        for event in [ControlEvent::Away(away), ControlEvent::Notice { text: "wait".to_owned() }] {
            let handled = reporter.handle_before_loss(Some(AgentEvent::Event(event)));
            assert!(handled.is_continue());
        }
        for end in [Some(AgentEvent::Died { left: None }), None] {
            assert!(matches!(reporter.handle_before_loss(end), ControlFlow::Break(Some(_))));
        }
        assert!(matches!(reporter.handle_before_loss(lost()), ControlFlow::Break(None)));
    }

    #[test]
    fn an_end_is_reported_with_its_cause_and_advice() {
        let (mut reporter, mut lines) = reporter(OnLoss::Reconnect, true);
        let ReportEffect::Ended(failure) =
            reporter.handle(Some(AgentEvent::Event(ControlEvent::Removed { left: None, stopped: true })))
        else {
            panic!("an end");
        };
        reporter.report(&failure);
        assert_eq!(
            lines.try_recv().unwrap(),
            "the session of 'work' was ended, by `lyncsh stop`. The next line connects again."
        );
        assert!(matches!(reporter.handle(lost()), ReportEffect::Lost));
        assert!(lines.try_recv().is_err(), "the loss was already reported");
        let failure = Failure { text: "x refused it".to_owned(), advice: Some("Check it.".to_owned()) };
        reporter.report(&failure);
        assert_eq!(
            lines.try_recv().unwrap(),
            "'work': x refused it. Check it. The next line connects again."
        );
    }
}
