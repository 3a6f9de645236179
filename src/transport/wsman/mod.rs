//! WSMan (MS-WSMV): a runspace pool as a shell on an HTTP endpoint. [`envelope`] and [`fault`] are
//! pure; [`connect`] is the client.

mod actor;
pub mod envelope;
pub mod fault;
mod http;
mod opening;
mod outgoing;
mod peek;
mod pipeline;
mod receive;
mod sequence;
mod shell;

use std::pin::pin;

use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{Connection, Error, Limits};
use crate::net::Trust;
use crate::psrp::client::Outgoing;
use crate::psrp::fragment::Fragmenter;
use receive::Receiver;
use sequence::Sequence;
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

/// Where a shell is made.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The connection URI, whole, as discovered or configured.
    pub uri: Url,
    /// The configuration's resource URI, for example
    /// `http://schemas.microsoft.com/powershell/Microsoft.PowerShell`.
    pub configuration: String,
    pub authentication: Authentication,
    /// Whom the endpoint has its certificate from.
    pub trust: Trust,
    /// What Create asks for (`IdleTimeOut`).
    pub idle_timeout: Option<std::time::Duration>,
    /// Redirections are followed to https only, at most this many.
    pub max_redirections: u8,
    pub limits: Limits,
}

pub use envelope::ShellInfo;

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

/// Removes a shell by its id, on a connection of its own: what the guard calls. A shell that is not
/// there is a success. Tries once more on a fresh connection.
///
/// A Create of the same shell that this process has still on its way is waited for, for a moment:
/// otherwise the removal could overtake it.
pub async fn remove(endpoint: &Endpoint, pool: Uuid) -> Result<(), Error> {
    opening::settle(pool).await;
    match remove_once(endpoint, pool).await {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::debug!("removing the session is tried once more: {error}");
            remove_once(endpoint, pool).await
        }
    }
}

/// One attempt on connections of its own, with a Receive pending: OMI answers no Delete without one.
async fn remove_once(endpoint: &Endpoint, pool: Uuid) -> Result<(), Error> {
    let shell = Shell::new(endpoint, pool)?;
    let mut deleting = pin!(shell.delete());
    let receiving = async {
        let sequence = Sequence::default();
        let mut receiver = Receiver::new(&shell, &sequence, None, 0);
        // Whatever it says: the answer to Delete is what counts.
        while receiver.next().await.is_ok() {}
    };
    tokio::select! {
        result = &mut deleting => result,
        () = receiving => deleting.await,
    }
}

/// The caller's shells on the endpoint.
pub async fn enumerate(endpoint: &Endpoint) -> Result<Vec<ShellInfo>, Error> {
    Shell::new(endpoint, Uuid::new_v4())?.enumerate().await
}
