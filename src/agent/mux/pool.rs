//! Host calls of the runspace pool, which belong to no pipeline: who answers them.

use std::collections::{HashMap, VecDeque};

use super::status::ClientId;
use crate::psrp::host::{HostCall, HostMethod};
use crate::psrp::message::Message;

/// Lines of the pool's host that are kept for a shell that is still to come.
const UNHEARD: usize = 64;

/// What becomes of a host call of the pool.
#[derive(Debug, PartialEq)]
pub enum Routed {
    /// Deliver it to this client.
    To(ClientId),
    /// Nobody is there to answer.
    Unanswered,
    /// It is kept for the next shell.
    Kept,
}

/// The pool's host calls whose answers are outstanding, and those that nobody has heard.
///
/// Guarantees: an answer is taken from the client that was asked, once; what is kept is bounded.
#[derive(Debug, Default)]
pub struct PoolCalls {
    /// By call id.
    outstanding: HashMap<i64, (ClientId, HostMethod)>,
    /// What the pool's host was to write while no shell was there.
    unheard: VecDeque<Message>,
}

impl PoolCalls {
    /// Routes a call of the endpoint's pool. `host`: the client that stands for the pool's host now.
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
                self.unheard.push_back(message.clone());
                if self.unheard.len() > UNHEARD {
                    self.unheard.pop_front();
                }
                Routed::Kept
            }
        }
    }

    /// Returns whether a client's answer is to be passed on.
    pub fn is_answered(&mut self, client: ClientId, call_id: i64) -> bool {
        let is_own = self.outstanding.get(&call_id).is_some_and(|(asked, _)| *asked == client);
        is_own && self.outstanding.remove(&call_id).is_some()
    }

    /// A client is gone. Returns the calls that the endpoint need not wait for any more.
    pub fn abandon(&mut self, client: ClientId) -> Vec<(i64, HostMethod)> {
        let own = self.outstanding.extract_if(|_, (asked, _)| *asked == client);
        own.map(|(call_id, (_, method))| (call_id, method)).collect()
    }

    /// Returns what no shell has heard, for the one that comes now.
    pub fn take_unheard(&mut self) -> VecDeque<Message> {
        std::mem::take(&mut self.unheard)
    }
}
