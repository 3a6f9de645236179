//! WSMan (MS-WSMV): a runspace pool as a shell on an HTTP endpoint. [`envelope`] and [`fault`] are
//! pure; [`connect`] is the client.

pub mod envelope;
pub mod fault;

use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use super::{Connection, Error, Limits};
use crate::psrp::client::Outgoing;

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
    /// What Create asks for (`IdleTimeOut`).
    pub idle_timeout: Option<std::time::Duration>,
    /// Redirections are followed to https only, at most this many.
    pub max_redirections: u8,
    pub limits: Limits,
}

pub use envelope::ShellInfo;

/// Creates a shell whose id is `pool` and whose creationXml carries `opening` (SESSION_CAPABILITY and
/// INIT_RUNSPACEPOOL), and keeps a Receive pending. Gives the connection, and the endpoint as it is
/// after redirections.
pub async fn connect(
    endpoint: Endpoint,
    pool: Uuid,
    opening: Vec<Outgoing>,
) -> Result<(Connection, Endpoint), Error> {
    let _ = (endpoint, pool, opening);
    todo!()
}

/// Removes a shell by its id, on a connection of its own: what the guard calls. A shell that is not
/// there is a success. Tries once more on a fresh connection.
pub async fn remove(endpoint: &Endpoint, pool: Uuid) -> Result<(), Error> {
    let _ = (endpoint, pool);
    todo!()
}

/// The caller's shells on the endpoint.
pub async fn enumerate(endpoint: &Endpoint) -> Result<Vec<ShellInfo>, Error> {
    let _ = endpoint;
    todo!()
}
