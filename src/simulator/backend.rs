//! PSRP server behind a WSMan shell. The simulator uses [`Pool`] with the tenant's engine; tests may replace
//! it ([`super::Server::start_with`]).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::futures::Notified;
use uuid::Uuid;

use super::pool::{Pool, TakeError};
use crate::psrp::client::Stream;
use crate::psrp::message::Message;

/// A runspace pool with its pipelines, whose messages a WSMan shell carries.
pub trait Backend: Send + Sync {
    /// Accepts a message of the client. Completes when the message is queued in order; the response to its Command or
    /// Send is sent then.
    fn take(&self, stream: Stream, message: Message) -> BoxFuture<'_, Result<(), TakeError>>;
    /// Stops a pipeline; its PIPELINE_STATE 3 follows.
    fn stop(&self, pipeline: Uuid);
    /// Removes a pipeline whose end the client has received or that the client abandons.
    fn forget(&self, pipeline: Uuid);
    /// Stops all pipelines and closes the pool.
    fn close(&self);
    /// Returns the pipelines that run or wait for a runspace.
    fn running(&self) -> Vec<Uuid>;
    /// Takes the oldest message for a pipeline, or for the pool (nil).
    fn next(&self, target: Uuid) -> Option<Message>;
    /// Completes at the next change after the call.
    fn changed(&self) -> Notified<'_>;
    /// Completes every pending [`Backend::changed`].
    fn wake(&self);
    /// Returns whether the server has ended by itself.
    fn is_gone(&self) -> bool {
        false
    }
}

/// Function that creates the backend of a new shell for a user.
pub type Backends = Box<dyn Fn(&str) -> std::io::Result<Arc<dyn Backend>> + Send + Sync>;

impl Backend for Pool {
    fn take(&self, _: Stream, message: Message) -> BoxFuture<'_, Result<(), TakeError>> {
        Box::pin(async move { Pool::take(self, &message) })
    }
    fn stop(&self, pipeline: Uuid) {
        Pool::stop(self, pipeline);
    }
    fn forget(&self, pipeline: Uuid) {
        Pool::forget(self, pipeline);
    }
    fn close(&self) {
        Pool::close(self);
    }
    fn running(&self) -> Vec<Uuid> {
        Pool::running(self)
    }
    fn next(&self, target: Uuid) -> Option<Message> {
        Pool::next(self, target)
    }
    fn changed(&self) -> Notified<'_> {
        Pool::changed(self)
    }
    fn wake(&self) {
        Pool::wake(self);
    }
}
