//! The steps of connecting, in the words of `New-CsOnlineSession -Verbose`. The owner of the session
//! reports them, the launcher draws them.

use serde::{Deserialize, Serialize};

/// One step on the way to an open session.
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
    /// Where the password is taken from.
    FetchingPassword {
        from: String,
    },
    /// Kerberos had no ticket for the reason given.
    UsingNtlm {
        reason: String,
    },
    RequestingToken,
    TokenReceived,
    InitializingSession,
    /// The row that the person sees last.
    Session {
        id: u32,
        name: String,
        computer: String,
        configuration: String,
    },
    /// Found by one cheap pipeline.
    Commands {
        count: usize,
    },
}

/// Where steps are reported to; a receiver that is gone is no error.
pub type Report = tokio::sync::mpsc::UnboundedSender<Step>;
