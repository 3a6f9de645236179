//! What the endpoint says.

use super::core::Core;
use super::rewrite;
use crate::psrp::client;
use crate::psrp::clixml::{Value, read};
use crate::psrp::message::{Message, MessageType};
use crate::psrp::record::{ErrorRecord, PipelineState, PoolState};
use crate::screen::{Colour, clean};
use crate::transport::session::SESSION_FAILED;
use crate::transport::{Error, Event};

/// How PowerShell identifies the error of an unknown command.
const NO_COMMAND: &str = "CommandNotFoundException";

impl Core {
    pub fn remote(&mut self, event: Event) {
        if !self.is_open() {
            return;
        }
        match event {
            Event::Message(message) => self.remote_message(message),
            Event::StopAcknowledged(id) => self.stop_acknowledged(id),
            Event::PipelineClosed(id) => {
                self.lost(id, "the endpoint closed the command before it said how it ended");
            }
            Event::PipelineFailed(id, error) => self.lost(id, &error.to_string()),
            // The server's own words for it fill the screen.
            Event::Broken(Error::Fault(fault)) if fault.is_gone() => self.broken("the server has it no more"),
            Event::Broken(error) => self.broken(&error.to_string()),
            Event::Closed => self.broken("the endpoint closed the session"),
        }
    }

    fn remote_message(&mut self, message: Message) {
        use MessageType as Kind;
        match message.kind {
            Kind::EncryptedSessionKey => self.session_key(&message),
            Kind::PublicKeyRequest => self.exchange_key(),
            Kind::RunspacePoolHostCall => self.pool_host_call(message),
            Kind::UserEvent => {
                for id in self.clients.keys().copied().collect::<Vec<_>>() {
                    self.deliver(id, message.clone());
                }
            }
            Kind::RunspacePoolState | Kind::ApplicationPrivateData => self.pool_news(&message),
            // The answer to the request that keeps the session alive.
            Kind::RunspaceAvailability => {}
            _ if message.pipeline.is_nil() => self.line_of_pool(&message),
            _ => self.pipeline_message(message),
        }
    }

    fn pipeline_message(&mut self, message: Message) {
        let id = message.pipeline;
        let Some(pipeline) = self.pipelines.get(&id) else { return };
        let is_final = message.kind == MessageType::PipelineState && is_final(&message.body);
        let answer = self.options.prompt.as_ref().filter(|_| pipeline.asks_prompt && is_final);
        if let (Some(prompt), Some(client), true) = (answer, pipeline.client, lacks_command(&message.body)) {
            let prompt = Value::from(prompt.as_str());
            self.say(client, |client| {
                client.server.output(id, &prompt);
                client.server.pipeline_state(id, PipelineState::Completed, None);
            });
            return self.ended(id);
        }
        if let Some(client) = pipeline.client.filter(|_| !pipeline.is_ended()) {
            self.deliver(client, message);
        }
        if is_final {
            self.ended(id);
        }
    }

    fn pool_news(&mut self, message: &Message) {
        let events = match self.pool.receive(message) {
            Ok(events) => events,
            Err(error) => return self.broken(&format!("the endpoint broke the protocol: {error}")),
        };
        for event in events {
            match event {
                client::Event::PoolState(PoolState::Broken | PoolState::Closed, record) => {
                    let reason = record.map(|record| record.message.clone());
                    self.broken(&reason.unwrap_or("the endpoint ended the session".into()));
                }
                client::Event::ApplicationPrivateData(value) => {
                    self.private_data = rewrite::without_debugger(&value);
                }
                _ => {}
            }
        }
    }
}

fn is_final(pipeline_state: &str) -> bool {
    let is = |state: PipelineState| state as i64;
    rewrite::number_property(pipeline_state, "PipelineState").is_some_and(|state| {
        state == is(PipelineState::Stopped)
            || state == is(PipelineState::Completed)
            || state == is(PipelineState::Failed)
    })
}

/// Whether a pipeline has failed because there is no command of that name.
fn lacks_command(pipeline_state: &str) -> bool {
    let Ok(value) = read(pipeline_state) else { return false };
    let record = value.property("ExceptionAsErrorRecord").map(ErrorRecord::read);
    record.is_some_and(|record| record.fully_qualified_id.starts_with(NO_COMMAND))
}

/// What a shell is told when something of the agent's or the endpoint's has failed.
pub fn failure(reason: &str) -> ErrorRecord {
    record(
        // PowerShell writes it to the terminal as it is.
        clean(reason, Colour::Drop).as_str(),
        "System.Management.Automation.Remoting.PSRemotingTransportException",
        SESSION_FAILED,
        // ErrorCategory.ConnectionError
        23,
    )
}

/// As PowerShell words the end of a pipeline that was stopped.
pub fn stopped() -> ErrorRecord {
    record(
        "The pipeline has been stopped.",
        "System.Management.Automation.PipelineStoppedException",
        "PipelineStopped",
        // ErrorCategory.OperationStopped
        14,
    )
}

fn record(message: &str, exception: &str, id: &str, category: i32) -> ErrorRecord {
    ErrorRecord {
        message: message.into(),
        exception_type: exception.into(),
        fully_qualified_id: id.into(),
        category,
        category_reason: exception.rsplit('.').next().unwrap_or(exception).into(),
        category_activity: String::new(),
        category_target_name: String::new(),
        category_target_type: String::new(),
        category_message: String::new(),
        target: None,
        details: None,
        recommended_action: None,
        command: None,
        position: None,
        value: Value::Null,
    }
}
