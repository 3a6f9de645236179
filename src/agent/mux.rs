//! One remote runspace pool, shared by any number of local PSRP clients.
//!
//! The agent is a client of the endpoint and a server to every shell. It answers each shell's negotiation
//! itself from the endpoint's data, with protocol 2.3 on both sides; replaces the pool id and the host data
//! in messages from the shell; and returns answers under the shell's pool id. Pipelines keep their ids, so
//! host calls, input and stop need no translation.
//!
//! Handled by the agent and not passed on:
//! - The endpoint runs as many pipelines as it has runspaces; the others are queued here, first in, first
//!   out. A progress record shows the user the reason for the wait. A stop or the end of the shell removes a
//!   queued pipeline immediately, without a request to the endpoint.
//! - lyncsh's own pipelines run while no shell needs the runspace; a shell's pipeline stops them.
//! - If the endpoint has no `prompt` command, which PowerShell calls in an entered session, the agent answers
//!   with the profile's name.
//! - The agent answers GET_AVAILABLE_RUNSPACES from its own state. SET_MAX_RUNSPACES and SET_MIN_RUNSPACES
//!   succeed up to the endpoint's number; RESET_RUNSPACE_STATE fails, because all shells share the runspace.
//!   So the call ids of two shells never collide.
//! - A host call of the pool (not of a pipeline) goes to the shell whose pipeline has been running longest,
//!   else to the shell attached longest; only this shell's answer is accepted.
//! - The agent exchanges one session key with the endpoint, when the first shell needs it, and gives it to
//!   each shell under that shell's public key. SecureStrings pass through encrypted.
//! - A shell that does not read throttles only its own pipelines: first the agent stops requesting their
//!   output ([`PAUSE_AT`](crate::transport::backpressure::PAUSE_AT)); then, if the transport cannot do that
//!   and no other client waits, it stops reading
//!   ([`STOP_READING_AT`](crate::transport::backpressure::STOP_READING_AT)); beyond
//!   [`ABORT_AT`](crate::transport::backpressure::ABORT_AT) its pipelines fail.

mod client;
mod control;
mod core;
mod incoming;
mod key;
mod open;
mod options;
mod pool;
mod remote;
mod rewrite;
mod scheduler;
mod status;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use crate::psrp::client::ClientPool;
use crate::transport::{Connection, Error, stream};

use self::client::Kind;
use self::control::Control;
pub use options::{Options, QUIET_DELAY};
pub use status::{ClientInfo, ClientStatus, Count, Counters, State, Status};

/// Time limit for shells to end their streams.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Handle to the task that owns one remote runspace pool and the streams of its clients.
///
/// The agent's owner opens and closes it, and the socket server attaches each shell. The error or end of a
/// client does not end other clients' pipelines. Clones share the task; dropping the last one closes the pool
/// without waiting.
#[derive(Clone, Debug)]
pub struct Mux {
    control: mpsc::Sender<Control>,
    count: watch::Receiver<Count>,
    state: watch::Receiver<State>,
}

impl Mux {
    /// Waits until the endpoint has opened the pool, and starts the task that shares it. [`ClientPool::open`] was
    /// called on `pool`; its pending messages are sent, unless the transport has taken them already.
    pub async fn open(connection: Connection, pool: ClientPool, options: Options) -> Result<Self, Error> {
        let remote = open::open(connection, pool, options.open).await?;
        let (control, controls) = mpsc::channel(16);
        let (count_given, count) = watch::channel(Count::default());
        let (state_given, state) = watch::channel(State::Open);
        core::spawn(remote, options, controls, count_given, state_given);
        Ok(Self { control, count, state })
    }

    /// Serves a PSRP client on a byte stream until either side closes it.
    pub async fn attach<S>(&self, stream: S, info: ClientInfo)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve(stream, info, Kind::Shell).await;
    }

    /// Serves a client of the agent itself, which does not count as a shell.
    pub async fn attach_own<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let info = ClientInfo { program: Some("lyncsh".to_owned()), process_id: Some(std::process::id()) };
        self.serve(stream, info, Kind::Own).await;
    }

    async fn serve<S>(&self, stream: S, info: ClientInfo, kind: Kind)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // If the task has ended, the end of the stream reports that to the client.
        let _ = self.control.send(Control::Attach(stream::serve(stream), info, kind)).await;
    }

    /// Returns the number of shells and its changes.
    pub fn clients(&self) -> watch::Receiver<Count> {
        self.count.clone()
    }

    /// Returns the state of the remote pool and its changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Returns the attached clients, their pipelines and the idle time.
    pub async fn status(&self) -> Option<Status> {
        let (reply, status) = oneshot::channel();
        self.control.send(Control::Status(reply)).await.ok()?;
        status.await.ok()
    }

    /// Ends every pipeline, notifies every shell, closes the remote pool and waits for the endpoint's
    /// confirmation. The shells' streams end when the last handle is dropped.
    pub async fn close(&self) -> Result<(), Error> {
        let (reply, closed) = oneshot::channel();
        self.control.send(Control::Close(reply)).await.map_err(|_| Error::Closed)?;
        closed.await.map_err(|_| Error::Closed)?
    }

    /// Waits, with a time limit, until the shells have closed their pools and ended their streams after the
    /// session's end. PowerShell reports the end of its session only when its Close is answered, or after one
    /// minute (HandleStateInfoReceived, RemoteRunspacePoolInternal.cs; seen in PowerShell 7.6.9).
    pub async fn parted(&self) {
        let mut count = self.count.clone();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, count.wait_for(|count| count.streams == 0)).await;
    }
}
