//! One remote runspace pool, shared by any number of local PSRP clients.
//!
//! The agent is a client of the endpoint and a server to every shell. It answers each shell's
//! negotiation itself from what the endpoint said, with protocol 2.3 to both sides; puts its own pool
//! id and the shell's host data into what the shell sends; and gives answers back under the shell's
//! pool id. Pipelines keep their ids, so host calls, input and stop find their way by themselves.
//!
//! What is decided here and not passed on:
//! - As many pipelines run on the endpoint as it has runspaces; the others wait here, first come,
//!   first served. Who waits is told what for, by a progress record. A stop or the end of its shell
//!   ends a wait at once, and the endpoint never hears of it.
//! - lyncsh's own questions run while no shell wants the runspace; a shell's pipeline stops them.
//! - Where the endpoint has no `prompt`, which PowerShell asks for in a session that it has entered, the agent
//!   answers with the profile's name.
//! - GET_AVAILABLE_RUNSPACES is answered from what is known here. SET_MAX_RUNSPACES and
//!   SET_MIN_RUNSPACES succeed up to what the endpoint has; RESET_RUNSPACE_STATE fails, because the
//!   runspace is everybody's. So no call id of a shell ever meets another's.
//! - A host call of the pool (not of a pipeline) goes to the shell whose pipeline runs longest, else
//!   to the one attached longest; its answer is taken from that shell only.
//! - One session key is exchanged with the endpoint, when the first shell needs it, and handed to
//!   each shell under that shell's public key. SecureStrings pass through unopened.
//! - A shell that does not read holds back its own pipelines: first the endpoint is asked for no more
//!   of them ([`HOLD`](crate::transport::backpressure::HOLD)), then, where the transport can't do that and nobody else waits, nothing more
//!   is read ([`FULL`](crate::transport::backpressure::FULL)); past [`LOST`](crate::transport::backpressure::LOST) its pipelines fail.

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
pub use options::{Options, QUIET};
pub use status::{ClientInfo, ClientStatus, Count, State, Status};

/// How long shells have time to end their streams.
const PARTS: Duration = Duration::from_secs(2);

/// The owner of one remote runspace pool. Clones share it; when the last is dropped, the pool is
/// closed without waiting for it.
#[derive(Clone, Debug)]
pub struct Mux {
    control: mpsc::Sender<Control>,
    count: watch::Receiver<Count>,
    state: watch::Receiver<State>,
}

impl Mux {
    /// Waits until the endpoint's pool is open. `pool` is one whose [`ClientPool::open`] was called;
    /// what it wants to send is sent, unless the transport had it already.
    pub async fn open(connection: Connection, pool: ClientPool, options: Options) -> Result<Self, Error> {
        let remote = open::open(connection, pool, options.open).await?;
        let (control, controls) = mpsc::channel(16);
        let (count_given, count) = watch::channel(Count::default());
        let (state_given, state) = watch::channel(State::Open);
        core::spawn(remote, options, controls, count_given, state_given);
        Ok(Self { control, count, state })
    }

    /// Serves a PSRP client on a byte stream until either side has enough.
    pub async fn attach<S>(&self, stream: S, info: ClientInfo)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve(stream, info, Kind::Shell).await;
    }

    /// Serves a client of the agent's own, which no person sits at: it counts as no shell.
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
        // An owner that is gone has closed the pool; the stream's end says so to the client.
        let _ = self.control.send(Control::Attach(stream::serve(stream), info, kind)).await;
    }

    /// How many shells there are, now and at every change.
    pub fn clients(&self) -> watch::Receiver<Count> {
        self.count.clone()
    }

    /// Whether the remote pool is there, now and at every change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Who is attached, what runs, and since when nothing has.
    pub async fn status(&self) -> Option<Status> {
        let (reply, status) = oneshot::channel();
        self.control.send(Control::Status(reply)).await.ok()?;
        status.await.ok()
    }

    /// Ends every pipeline, tells every shell, and closes the remote pool; waits for its answer. The shells' streams
    /// end when the last owner goes.
    pub async fn close(&self) -> Result<(), Error> {
        let (reply, closed) = oneshot::channel();
        self.control.send(Control::Close(reply)).await.map_err(|_| Error::Closed)?;
        closed.await.map_err(|_| Error::Closed)?
    }

    /// Waits, but not for long, until the shells that were told of the end have closed their pools and ended their
    /// streams. A PowerShell reports the end of its session only when its Close is answered, and where that does not
    /// come, after a minute (HandleStateInfoReceived, RemoteRunspacePoolInternal.cs; 7.6.9).
    pub async fn parted(&self) {
        let mut count = self.count.clone();
        let _ = tokio::time::timeout(PARTS, count.wait_for(|count| count.streams == 0)).await;
    }
}
