//! Messages from the endpoint.

use tokio::time::Instant;
use uuid::Uuid;

use super::client::Client;
use super::core::Core;
use super::pool::{Routed, no_host};
use super::rewrite;
use super::status::ClientId;
use crate::psrp::client;
use crate::psrp::clixml::{Value, read, write};
use crate::psrp::host::{HostCall, HostMethod};
use crate::psrp::message::{Message, MessageType};
use crate::psrp::record::{ErrorRecord, PipelineState, PoolState, TextRecord};
use crate::screen::{Colour, clean};
use crate::transport::{ConnectionEvent, Error};

/// PowerShell's error id for an unknown command.
const NO_COMMAND: &str = "CommandNotFoundException";

impl Core {
    pub fn remote(&mut self, event: ConnectionEvent) {
        if !self.is_open() {
            return;
        }
        match event {
            ConnectionEvent::Message(message) => {
                self.counters.received += message.size();
                self.remote_message(message);
            }
            ConnectionEvent::StopAcknowledged(id) => {
                let actions = self.scheduler.stop_acknowledged(id);
                self.act(actions);
            }
            ConnectionEvent::PipelineClosed(id) => {
                self.pipeline_lost(
                    id,
                    "the endpoint closed the command before reporting its final state",
                    true,
                );
            }
            ConnectionEvent::PipelineFailed(id, error) => {
                self.pipeline_lost(id, &error.to_string(), error.may_have_run());
            }
            // The server's fault text would fill the screen.
            ConnectionEvent::Broken { error: Error::Fault(fault), unsent } if fault.is_gone() => {
                self.broken("the shell no longer exists on the server", unsent);
            }
            ConnectionEvent::Broken { error, unsent } => self.broken(&error.to_string(), unsent),
            ConnectionEvent::Closed => self.broken("the endpoint closed the session", Vec::new()),
        }
    }

    fn remote_message(&mut self, message: Message) {
        use MessageType as Kind;
        match message.kind {
            Kind::EncryptedSessionKey => {
                let sealed = rewrite::text_property(&message.body, "EncryptedSessionKey");
                let actions = self.key.session_key(sealed.as_deref());
                self.exchange(actions);
            }
            Kind::PublicKeyRequest => {
                let actions = self.key.begin();
                self.exchange(actions);
            }
            Kind::RunspacePoolHostCall => self.pool_host_call(&message),
            Kind::UserEvent => {
                for id in self.clients.keys().copied().collect::<Vec<_>>() {
                    self.deliver(id, message.clone());
                }
            }
            Kind::RunspacePoolState | Kind::ApplicationPrivateData => self.pool_changed(&message),
            // Answer to the keep-alive request.
            Kind::RunspaceAvailability => {}
            _ if message.pipeline.is_nil() => self.line_of_pool(&message),
            _ => self.pipeline_message(message),
        }
    }

    fn pipeline_message(&mut self, message: Message) {
        let id = message.pipeline;
        let Some(pipeline) = self.scheduler.pipeline(id) else { return };
        let is_state = message.kind == MessageType::PipelineState;
        let body = if is_state { read(&message.body).ok() } else { None };
        let (state, record) = body.and_then(|body| PipelineState::read(&body).ok()).unzip();
        // Only final states contain a record, which may be unreadable: the runspace is free all the same.
        let is_final = state.map_or(is_state, PipelineState::is_final);
        // The error that ends a pipeline is part of its final state, not an error record.
        let is_error = message.kind == MessageType::ErrorRecord || state == Some(PipelineState::Failed);
        if is_error && !pipeline.internal {
            self.counters.errors += 1;
        }
        let answer = self.options.prompt.as_ref().filter(|_| pipeline.asks_prompt && is_final);
        if let (Some(prompt), Some(client)) = (answer, pipeline.client)
            && record.flatten().is_some_and(|record| record.fully_qualified_id.starts_with(NO_COMMAND))
        {
            let prompt = Value::from(prompt.as_str());
            self.send_to(client, |client| {
                client.server.output(id, &prompt);
                client.server.pipeline_state(id, PipelineState::Completed, None);
            });
            return self.pipeline_ended(id);
        }
        if let Some(client) = pipeline.client.filter(|_| !pipeline.is_ended()) {
            self.deliver(client, message);
        }
        if is_final {
            self.pipeline_ended(id);
        }
    }

    fn pipeline_ended(&mut self, id: Uuid) {
        let actions = self.scheduler.ended(id, Instant::now());
        self.act(actions);
    }

    fn pipeline_lost(&mut self, id: Uuid, reason: &str, may_have_run: bool) {
        // The endpoint also reports the end of a pipeline that its client has closed.
        let is_lost = self
            .scheduler
            .pipeline(id)
            .is_some_and(|pipeline| pipeline.client.is_some() && !pipeline.is_ended() && !pipeline.internal);
        self.counters.errors += u64::from(is_lost);
        // PowerShell writes the reason to the terminal unfiltered.
        let reason = clean(reason, Colour::Drop).into_string();
        let failure =
            if may_have_run { ErrorRecord::session_failed(reason) } else { ErrorRecord::not_run(&reason) };
        let actions = self.scheduler.lost(id, failure, Instant::now());
        self.act(actions);
    }

    /// Routes a host call of the endpoint's pool to the client whose pipeline has been running longest, else
    /// to the client attached longest.
    pub fn pool_host_call(&mut self, message: &Message) {
        let Ok(events) = self.pool.receive(message) else { return };
        for event in events {
            let client::ClientEvent::PoolHostCall(call) = event else { continue };
            match self.pool_calls.route(&call, message, self.host_of_pool()) {
                Routed::To(id) => self.deliver(id, message.clone()),
                Routed::Unanswered => self.no_host(call.call_id, call.method),
                Routed::Stored => {}
            }
        }
    }

    fn host_of_pool(&self) -> Option<ClientId> {
        let open = |id: &ClientId| self.clients.get(id).is_some_and(Client::is_open_shell);
        let shells = self.scheduler.running().filter(|(_, pipeline)| !pipeline.background);
        let running = shells.filter_map(|(_, p)| Some((p.since()?, p.client?)));
        let longest = running.filter(|(_, id)| open(id)).min().map(|(_, id)| id);
        longest.or_else(|| self.clients.keys().copied().find(|id| open(id)))
    }

    /// Answers outstanding host calls of a detached client with an error, so that the endpoint does not wait
    /// for them.
    pub fn abandon_pool_calls(&mut self, id: ClientId) {
        for (call_id, method) in self.pool_calls.abandon(id) {
            self.no_host(call_id, method);
        }
    }

    fn no_host(&mut self, call_id: i64, method: HostMethod) {
        self.pool.respond(None, &no_host(call_id, method));
        self.send_own();
    }

    /// Converts a warning, verbose, debug or error record that belongs to no pipeline into a host call of the
    /// pool.
    fn line_of_pool(&mut self, message: &Message) {
        let method = match message.kind {
            MessageType::WarningRecord => HostMethod::WriteWarningLine,
            MessageType::VerboseRecord => HostMethod::WriteVerboseLine,
            MessageType::DebugRecord => HostMethod::WriteDebugLine,
            MessageType::ErrorRecord => HostMethod::WriteErrorLine,
            _ => return,
        };
        let Ok(record) = read(&message.body) else { return };
        let text = match method {
            HostMethod::WriteErrorLine => ErrorRecord::read(&record).message,
            _ => TextRecord::read(&record).message,
        };
        // -100: no answer is expected.
        let call = HostCall { call_id: -100, method, parameters: vec![text.into()] };
        let body = write(&call.to_value());
        self.pool_host_call(&Message { kind: MessageType::RunspacePoolHostCall, body, ..message.clone() });
    }

    fn pool_changed(&mut self, message: &Message) {
        let events = match self.pool.receive(message) {
            Ok(events) => events,
            Err(error) => {
                return self.broken(&format!("the endpoint violated the protocol: {error}"), Vec::new());
            }
        };
        for event in events {
            match event {
                client::ClientEvent::PoolState(PoolState::Broken | PoolState::Closed, record) => {
                    let reason = record.map(|record| record.message.clone());
                    self.broken(&reason.unwrap_or("the endpoint ended the session".into()), Vec::new());
                }
                client::ClientEvent::ApplicationPrivateData(value) => {
                    self.private_data = rewrite::without_debugger(&value);
                }
                _ => {}
            }
        }
    }
}
