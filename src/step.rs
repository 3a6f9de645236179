//! Steps of connecting, with the texts of `New-CsOnlineSession -Verbose`. The owner of the session reports
//! them, and the launcher displays them.

use serde::{Deserialize, Serialize};

/// A step of opening a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    DeterminingDomain,
    AdminDomain {
        domain: String,
    },
    DiscoveringEndpoint,
    TargetUri {
        uri: String,
    },
    /// Source of the password.
    FetchingPassword {
        from: String,
    },
    RequestingToken,
    /// The user must sign in on this page, with a code or by the redirect to a listener of the agent.
    SignIn {
        uri: String,
        code: Option<String>,
    },
    TokenReceived,
    InitializingSession,
    /// The session, which is the last row of the output.
    Session {
        id: u32,
        name: String,
        computer: String,
        configuration: String,
    },
    /// Number of commands, from one fast pipeline.
    Commands {
        count: usize,
    },
}

/// Sender of steps; a dropped receiver is not an error.
pub type Report = tokio::sync::mpsc::UnboundedSender<Step>;
