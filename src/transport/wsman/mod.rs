//! WSMan (MS-WSMV): a runspace pool as a shell on an HTTP endpoint. [`envelope`] and [`fault`] are
//! pure; [`connect`] is the client.

mod actor;
mod credential;
pub mod envelope;
pub mod fault;
mod http;
mod opening;
mod outcome;
mod outgoing;
mod peek;
mod pipeline;
mod receive;
mod removing;
mod sequence;
mod shell;
mod turn;
mod wire;

use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{Connection, Error, Limits};
use crate::net::Trust;
use crate::psrp::client::Outgoing;
use crate::psrp::fragment::Fragmenter;
use shell::{FRAGMENT_HEADER, Shell};

/// Who asks, and how it is proven.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Over TLS, or to loopback.
    Basic {
        user: String,
        password: SecretString,
    },
    Bearer {
        user: String,
        token: SecretString,
    },
}

impl Authentication {
    pub fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } | Self::Bearer { user, .. } => user,
        }
    }
}

/// Where a shell is made.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The connection URI, whole, as discovered or configured.
    pub uri: Url,
    /// The configuration's resource URI, for example
    /// `http://schemas.microsoft.com/powershell/Microsoft.PowerShell`.
    pub configuration: String,
    pub authentication: Authentication,
    /// Where another credential comes from when the endpoint refuses this one.
    pub renew: Option<Renew>,
    /// Whom the endpoint has its certificate from.
    pub trust: Trust,
    /// What Create asks for (`IdleTimeOut`).
    pub idle_timeout: Option<std::time::Duration>,
    /// Who takes note of what the session's removal has to know.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Redirections are followed to https only, at most this many.
    pub max_redirections: u8,
    pub limits: Limits,
}

pub use credential::Renew;
pub use envelope::ShellInfo;
pub use removing::{Left, remove, try_remove};
pub use shell::Removal;

/// Takes note of what the removal of a session has to know when its owner is dead.
pub trait Ledger: std::fmt::Debug + Send + Sync {
    /// The commands that may run from now on. Called before the first of them is sent.
    fn runs(&self, commands: Vec<Uuid>);
    /// The idle timeout that the server has granted.
    fn granted(&self, idle_timeout: std::time::Duration);
    /// From now on the server's "not found" does not prove that the session is gone.
    fn doubts(&self);
}

/// The step of creating a shell, as [`Error::Timeout`] names it.
pub const CREATING: &str = "creating the session";
/// The step of removing one.
pub const REMOVING: &str = "removing the session";

/// Creates a shell whose id is `pool` and whose creationXml carries `opening` (SESSION_CAPABILITY and
/// INIT_RUNSPACEPOOL), and keeps a Receive pending. Gives the connection, and the endpoint as it is
/// after redirections.
///
/// A caller that stops waiting removes the shell by [`remove`]: `pool` is its id from the start, and
/// `redirected` hears where it will be before it is asked for there.
pub async fn connect(
    mut endpoint: Endpoint,
    pool: Uuid,
    opening: Vec<Outgoing>,
    mut redirected: impl FnMut(&Endpoint),
) -> Result<(Connection, Endpoint), Error> {
    let open_by = Instant::now() + endpoint.limits.open;
    for followed in 0..=u8::MAX {
        let shell = Shell::new(&endpoint, pool)?;
        let mut fragmenter = Fragmenter::default();
        let (data, rest) = opening_fragments(&opening, &mut fragmenter, shell.capacity());
        let limit = endpoint.limits.open;
        match opening::create(&shell, &endpoint, pool, data, limit).await? {
            Some(target) => {
                endpoint = opening::redirected(endpoint, &target, followed)?;
                redirected(&endpoint);
            }
            None => {
                let there = endpoint.clone();
                let created = actor::Created { endpoint, pool, shell, fragmenter, rest, open_by };
                return Ok((actor::start(created), there));
            }
        }
    }
    Err(Error::Protocol("the endpoint redirects without end".to_owned()))
}

/// The fragments that go into Create, and those that don't fit any more.
fn opening_fragments(
    opening: &[Outgoing],
    fragmenter: &mut Fragmenter,
    capacity: usize,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut data, mut rest) = (Vec::new(), Vec::new());
    for outgoing in opening {
        for fragment in fragmenter.cut(&outgoing.message.encode(), capacity - FRAGMENT_HEADER) {
            if rest.is_empty() && data.len() + fragment.len() <= capacity {
                data.extend(fragment);
            } else {
                rest.push(fragment);
            }
        }
    }
    (data, rest)
}

/// The caller's shells on the endpoint.
pub async fn enumerate(endpoint: &Endpoint) -> Result<Vec<ShellInfo>, Error> {
    Shell::new(endpoint, Uuid::new_v4())?.enumerate().await
}
