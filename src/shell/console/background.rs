//! Background tasks of the console: session notices, host calls that belong to no pipeline, and the list of
//! the endpoint's commands.

use super::catalogue::Listed;
use super::echoes;
use super::facts::Facts;
use super::host::{self, Handled};
use super::links::Link;
use super::notices::SessionNotices;
use super::terminal::{Terminal, Tone};
use crate::psrp::client::ClientEvent;
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostCall, HostException, HostMethod, HostResponse};
use crate::shell::Attached;

/// Shows session notices and pool events while the user types or a pipeline runs.
pub async fn watch(attached: Attached, terminal: Terminal, news: SessionNotices, facts: Facts) {
    let Attached { name, connection, mut events, mut notices, .. } = attached;
    loop {
        tokio::select! {
            notice = notices.recv() => match notice {
                Some(text) => news.show(Tone::Warning, &text),
                None => return,
            },
            event = events.recv() => match event {
                Some(ClientEvent::PoolHostCall(call)) => {
                    let answer = call_of_pool(&terminal, &news, &call).await;
                    if let (Some(answer), Some(session)) = (answer, connection.current()) {
                        // A session that has ended needs no response.
                        let _ = session.respond_pool(&answer).await;
                    }
                }
                Some(ClientEvent::ApplicationPrivateData(data)) => facts.learn(&name, &data),
                Some(_) => {}
                None => return,
            },
        }
    }
}

/// Handles a host call that belongs to no pipeline, such as a warning of the session itself.
async fn call_of_pool(terminal: &Terminal, news: &SessionNotices, call: &HostCall) -> Option<HostResponse> {
    if let Some(line) = echoes::Line::of(call) {
        news.show(line.stream.tone(), &line.shown());
        return None;
    }
    if call.method == HostMethod::WriteErrorLine {
        let text = call.parameters.first().map(Value::display_text).unwrap_or_default();
        news.show(Tone::Error, &text);
        return None;
    }
    if news.is_typing() {
        // The line editor is using the terminal.
        let result = Err(HostException("the host is waiting for a line".to_owned()));
        return call.wants_answer().then(|| HostResponse {
            call_id: call.call_id,
            method: call.method,
            result,
        });
    }
    match host::handle(terminal, call).await {
        Handled::Respond(response) => Some(response),
        Handled::Done | Handled::Interrupted | Handled::Exit(_) => None,
    }
}

/// Fetches the command names of a connection in each of its sessions, while the session is idle.
pub async fn learn(link: Link) {
    while let Some(session) = link.connection.opened().await {
        match link.catalogue.refresh(&session).await {
            // A shell's command took precedence.
            Ok(Listed::Interrupted) => continue,
            Ok(Listed::All) => {}
            Err(error) => tracing::debug!(%error, "cannot refresh the command names"),
        }
        link.connection.lost().await;
    }
}
