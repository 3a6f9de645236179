//! Opens the remote pool.

use std::time::Duration;

use crate::psrp::client::{self, ClientPool};
use crate::psrp::clixml::Value;
use crate::psrp::message::Message;
use crate::psrp::record::PoolState;
use crate::transport::{Connection, ConnectionEvent, ConnectionRequest, Error, Operation};

use super::pool::no_host;
use super::rewrite;

/// An open remote pool.
pub struct Remote {
    pub connection: Connection,
    pub pool: ClientPool,
    /// APPLICATION_PRIVATE_DATA for the clients.
    pub private_data: Value,
    /// Host calls of the pool before the first shell attached, such as warnings of the session's startup
    /// script.
    pub calls: Vec<Message>,
}

/// Waits until the endpoint has opened the pool, at most for `limit`.
pub async fn open(connection: Connection, pool: ClientPool, limit: Duration) -> Result<Remote, Error> {
    let timeout = Error::Timeout { operation: Operation::Open, limit };
    tokio::time::timeout(limit, negotiate(connection, pool)).await.unwrap_or(Err(timeout))
}

async fn negotiate(mut connection: Connection, mut pool: ClientPool) -> Result<Remote, Error> {
    let mut private_data = Value::Null;
    let mut calls = Vec::new();
    loop {
        for outgoing in pool.take_outgoing() {
            let request = ConnectionRequest::Send { outgoing, ordered: None };
            // A connection that no longer accepts requests reports the reason in its last event.
            let _ = connection.requests.send(request).await;
        }
        if pool.state() == PoolState::Opened {
            return Ok(Remote { connection, pool, private_data, calls });
        }
        let message = match connection.events.recv().await {
            Some(ConnectionEvent::Message(message)) => message,
            Some(ConnectionEvent::Broken { error, .. }) => return Err(error),
            Some(ConnectionEvent::Closed) | None => return Err(Error::Closed),
            Some(_) => continue,
        };
        let events = pool.receive(&message).map_err(|e| Error::Protocol(e.to_string()))?;
        for event in events {
            match event {
                // A question of the startup script: the endpoint waits for the answer before it opens the pool.
                client::ClientEvent::PoolHostCall(call) if call.wants_answer() => {
                    pool.respond(None, &no_host(call.call_id, call.method));
                }
                client::ClientEvent::PoolHostCall(_) => calls.push(message.clone()),
                client::ClientEvent::ApplicationPrivateData(value) => {
                    private_data = rewrite::without_debugger(&value);
                }
                client::ClientEvent::PoolState(PoolState::Broken | PoolState::Closed, record) => {
                    let reason = record.map(|record| record.message.clone());
                    return Err(Error::Ended(
                        reason.unwrap_or("the endpoint refused the runspace pool".into()),
                    ));
                }
                _ => {}
            }
        }
    }
}
