//! Calls on the runspace pool itself, in both directions.

use super::client::Client;
use super::core::{ClientId, Core};
use crate::psrp::client::{self, Stream};
use crate::psrp::clixml::{Value, write};
use crate::psrp::host::{HostCall, HostMethod, HostResponse};
use crate::psrp::message::{Message, MessageType};
use crate::psrp::record::{ErrorRecord, TextRecord};
use crate::psrp::server::Event;
use crate::transport::stream::Ack;

use super::rewrite;

/// Lines of the pool's host that are kept for a shell that is still to come.
const UNHEARD: usize = 64;

/// A host call of the pool that a client was given to answer.
pub struct PoolCall {
    client: ClientId,
    method: HostMethod,
}

impl Core {
    /// GET_AVAILABLE_RUNSPACES and its kin: answered here, for the client's own call id.
    pub fn pool_call(&mut self, id: ClientId, message: &Message) -> Result<(), String> {
        // What runs in the background gives way.
        let yielding = self.running().filter(|(_, pipeline)| pipeline.background).count();
        let free = self.free_runspaces() + yielding;
        let most = self.options.max_runspaces;
        let within = |runspaces: i32| usize::try_from(runspaces).is_ok_and(|n| (1..=most).contains(&n));
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        for event in client.server.receive(message).map_err(|e| e.to_string())? {
            let (call_id, result) = match event {
                Event::GetAvailableRunspaces { call_id } => {
                    (call_id, Value::I32(i32::try_from(free).unwrap_or(i32::MAX)))
                }
                Event::SetMaxRunspaces { call_id, max } => (call_id, Value::Bool(within(max))),
                Event::SetMinRunspaces { call_id, min } => (call_id, Value::Bool(within(min))),
                Event::ResetRunspaceState { call_id } => (call_id, Value::Bool(false)),
                _ => continue,
            };
            client.server.runspace_availability(call_id, result);
        }
        client.flush();
        Ok(())
    }

    /// A host call of the endpoint's pool: for the client whose pipeline runs longest, else for the
    /// one attached longest.
    pub fn pool_host_call(&mut self, message: Message) {
        let Ok(events) = self.pool.receive(&message) else { return };
        for event in events {
            let client::Event::PoolHostCall(call) = event else { continue };
            match self.host_of_pool() {
                Some(id) => {
                    if call.wants_answer() {
                        self.pool_calls.insert(call.call_id, PoolCall { client: id, method: call.method });
                    }
                    self.deliver(id, message.clone());
                }
                None if call.wants_answer() => self.no_host(call.call_id, call.method),
                None => {
                    self.unheard.push_back(message.clone());
                    if self.unheard.len() > UNHEARD {
                        self.unheard.pop_front();
                    }
                }
            }
        }
    }

    /// Gives a shell what was written before it came.
    pub fn deliver_unheard(&mut self, id: ClientId) {
        if self.clients.get(&id).is_some_and(Client::is_open_shell) {
            for call in std::mem::take(&mut self.unheard) {
                self.deliver(id, call);
            }
        }
    }

    /// A warning, or another line, that belongs to no pipeline: the pool's host writes it, as it does those
    /// of pipelines.
    pub fn line_of_pool(&mut self, message: &Message) {
        let method = match message.kind {
            MessageType::WarningRecord => HostMethod::WriteWarningLine,
            MessageType::VerboseRecord => HostMethod::WriteVerboseLine,
            MessageType::DebugRecord => HostMethod::WriteDebugLine,
            MessageType::ErrorRecord => HostMethod::WriteErrorLine,
            _ => return,
        };
        let Ok(record) = crate::psrp::clixml::read(&message.body) else { return };
        let text = match method {
            HostMethod::WriteErrorLine => ErrorRecord::read(&record).message,
            _ => TextRecord::read(&record).message,
        };
        // -100: no answer is wanted.
        let call = HostCall { call_id: -100, method, parameters: vec![text.into()] };
        let body = write(&call.to_value());
        self.pool_host_call(Message { kind: MessageType::RunspacePoolHostCall, body, ..message.clone() });
    }

    fn host_of_pool(&self) -> Option<ClientId> {
        let open = |id: &ClientId| self.clients.get(id).is_some_and(Client::is_open_shell);
        let shells = self.running().filter(|(_, pipeline)| !pipeline.background);
        let running = shells.filter_map(|(_, p)| Some((p.since()?, p.client?)));
        let longest = running.filter(|(_, id)| open(id)).min().map(|(_, id)| id);
        longest.or_else(|| self.clients.keys().copied().find(|id| open(id)))
    }

    /// A client's answer to a host call of the pool: taken from the one that was asked.
    pub fn pool_host_response(&mut self, id: ClientId, stream: Stream, message: Message, ack: Ack) {
        let Some(call_id) = rewrite::number_property(&message.body, "ci") else { return };
        if self.pool_calls.get(&call_id).is_some_and(|call| call.client == id) {
            self.pool_calls.remove(&call_id);
            self.forward(stream, message, Some(ack));
        }
    }

    /// A client is gone: the endpoint need not wait for its answers.
    pub fn abandon_pool_calls(&mut self, id: ClientId) {
        let own = self.pool_calls.extract_if(|_, call| call.client == id);
        for (call_id, call) in own.collect::<Vec<_>>() {
            self.no_host(call_id, call.method);
        }
    }

    fn no_host(&mut self, call_id: i64, method: HostMethod) {
        let result = Err("no shell is there to answer".to_owned());
        self.pool.respond(None, &HostResponse { call_id, method, result });
        self.send_own();
    }
}
