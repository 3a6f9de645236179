//! Calls on the runspace pool itself, in both directions.

use super::client::Phase;
use super::core::{ClientId, Core};
use crate::psrp::client::{self, Stream};
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostMethod, HostResponse};
use crate::psrp::message::Message;
use crate::psrp::server::Event;
use crate::transport::stream::Ack;

use super::rewrite;

/// A host call of the pool that a client was given to answer.
pub struct PoolCall {
    client: ClientId,
    method: HostMethod,
}

impl Core {
    /// GET_AVAILABLE_RUNSPACES and its kin: answered here, for the client's own call id.
    pub fn pool_call(&mut self, id: ClientId, message: &Message) -> Result<(), String> {
        let free = self.free_runspaces();
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
                None => {}
            }
        }
    }

    fn host_of_pool(&self) -> Option<ClientId> {
        let open = |id: &ClientId| self.clients.get(id).is_some_and(|c| c.phase == Phase::Open);
        let running = self.running().filter_map(|(_, p)| Some((p.since()?, p.client?)));
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
