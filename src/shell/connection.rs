//! A shell's connection to one endpoint, which outlives the loss of its session.

use tokio::sync::{mpsc, oneshot, watch};

use crate::transport::session::Session;

/// The session of a connection.
#[derive(Clone)]
pub enum State {
    Open(Session),
    /// The session was lost.
    Lost,
}

/// Reason why no session is available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoSession {
    pub text: String,
    /// Help text for the user.
    pub advice: Option<String>,
}

/// Reply channel of a [`SessionRequest`]; closed when the shell stops waiting.
pub type Reply = oneshot::Sender<Result<Session, NoSession>>;

/// Request of the shell for a session.
pub struct SessionRequest(pub Reply);

/// The shell's end of the connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    state: watch::Receiver<State>,
    requests: mpsc::Sender<SessionRequest>,
}

/// The other end of the connection, held by the code that opens sessions.
pub struct ConnectionOwner {
    pub state: watch::Sender<State>,
    pub requests: mpsc::Receiver<SessionRequest>,
}

impl Connection {
    pub fn new(session: Session) -> (Self, ConnectionOwner) {
        let (state_given, state) = watch::channel(State::Open(session));
        let (requests, requested) = mpsc::channel(1);
        (Self { state, requests }, ConnectionOwner { state: state_given, requests: requested })
    }

    /// Returns the current session, if one is open.
    pub fn current(&self) -> Option<Session> {
        match &*self.state.borrow() {
            State::Open(session) => Some(session.clone()),
            State::Lost => None,
        }
    }

    /// Returns the session, or requests a new one if it was lost. Cancelling ends the attempt.
    ///
    /// # Errors
    /// No session can be opened now.
    pub async fn session(&self) -> Result<Session, NoSession> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let over = || NoSession { text: "the shell is ending".to_owned(), advice: None };
        let (reply, answer) = oneshot::channel();
        self.requests.send(SessionRequest(reply)).await.map_err(|_| over())?;
        answer.await.map_err(|_| over())?
    }

    /// Waits for a session without requesting one. Returns `None` if no session will be opened any more.
    pub async fn opened(&self) -> Option<Session> {
        let mut state = self.state.clone();
        match &*state.wait_for(|state| matches!(state, State::Open(_))).await.ok()? {
            State::Open(session) => Some(session.clone()),
            State::Lost => None,
        }
    }

    /// Waits until the session is lost.
    pub async fn lost(&self) {
        let mut state = self.state.clone();
        let _ = state.wait_for(|state| matches!(state, State::Lost)).await;
    }
}
