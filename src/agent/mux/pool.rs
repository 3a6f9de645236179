//! Routing of the runspace pool's host calls, which belong to no pipeline.

use std::collections::{HashMap, VecDeque};

use super::status::ClientId;
use crate::psrp::host::{HostCall, HostException, HostMethod, HostResponse};
use crate::psrp::message::Message;

/// Maximum number of lines of the pool's host output stored until a shell attaches.
const MAX_STORED: usize = 64;

/// Returns the answer to a host call that no shell can answer.
pub fn no_host(call_id: i64, method: HostMethod) -> HostResponse {
    HostResponse { call_id, method, result: Err(HostException("no shell is attached to answer".to_owned())) }
}

/// Target of a host call of the pool.
#[derive(Debug, PartialEq)]
pub enum Routed {
    /// Deliver it to this client.
    To(ClientId),
    /// No shell is attached to answer.
    Unanswered,
    /// The call is stored for the next shell.
    Stored,
}

/// The pool's host calls: those waiting for an answer, and those stored for the next shell.
///
/// Guarantees: only the client that received the call can answer it, once; the number of stored calls is
/// limited.
#[derive(Debug, Default)]
pub struct PoolCalls {
    /// By call id.
    outstanding: HashMap<i64, (ClientId, HostMethod)>,
    /// Host output of the pool while no shell was attached.
    stored: VecDeque<Message>,
}

impl PoolCalls {
    /// Routes a call of the endpoint's pool. `host`: the client that currently acts as the pool's host.
    pub fn route(&mut self, call: &HostCall, message: &Message, host: Option<ClientId>) -> Routed {
        match host {
            Some(client) => {
                if call.wants_answer() {
                    self.outstanding.insert(call.call_id, (client, call.method));
                }
                Routed::To(client)
            }
            None if call.wants_answer() => Routed::Unanswered,
            None => {
                self.stored.push_back(message.clone());
                if self.stored.len() > MAX_STORED {
                    self.stored.pop_front();
                }
                Routed::Stored
            }
        }
    }

    /// Returns whether to forward a client's answer.
    pub fn take_answer(&mut self, client: ClientId, call_id: i64) -> bool {
        let is_own = self.outstanding.get(&call_id).is_some_and(|(asked, _)| *asked == client);
        is_own && self.outstanding.remove(&call_id).is_some()
    }

    /// Removes a detached client. Returns the calls that the endpoint must not wait for any longer.
    pub fn abandon(&mut self, client: ClientId) -> Vec<(i64, HostMethod)> {
        let own = self.outstanding.extract_if(|_, (asked, _)| *asked == client);
        own.map(|(call_id, (_, method))| (call_id, method)).collect()
    }

    /// Returns the stored host output for a newly attached shell.
    pub fn take_stored(&mut self) -> VecDeque<Message> {
        std::mem::take(&mut self.stored)
    }
}
