//! Opens a connection to an endpoint.

use tokio::time::Instant;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::envelope::ShellInfo;
use super::shell::Shell;
use super::{actor, opening};
use crate::psrp::client::Outgoing;
use crate::psrp::fragment::{self, Fragmenter};
use crate::transport::connection::Connection;
use crate::transport::error::Error;

/// Creates a shell with the id `pool` whose creationXml contains `opening` (SESSION_CAPABILITY and
/// INIT_RUNSPACEPOOL), and keeps a Receive pending. Returns the connection, and the endpoint after redirects.
///
/// A caller that stops waiting removes the shell with [`remove`](super::remove): `pool` is its id from the start, and
/// `redirected` receives each redirect target before Create is sent there, and returns whether to send it.
pub async fn connect(
    mut endpoint: Endpoint,
    pool: Uuid,
    opening: Vec<Outgoing>,
    mut redirected: impl FnMut(&Endpoint) -> bool,
) -> Result<(Connection, Endpoint), Error> {
    let open_by = Instant::now() + endpoint.limits.open;
    for followed in 0..=u8::MAX {
        let shell = Shell::new(&endpoint, pool)?;
        let mut fragmenter = Fragmenter::default();
        let (data, rest) = opening_fragments(&opening, &mut fragmenter, shell.capacity());
        let limit = endpoint.limits.open;
        if let Some(target) = opening::create(&shell, &endpoint, pool, data, limit).await? {
            endpoint = opening::redirected(endpoint, &target, followed)?;
            if !redirected(&endpoint) {
                return Err(Error::Closed);
            }
        } else {
            let there = endpoint.clone();
            let created = actor::Created { endpoint, pool, shell, fragmenter, rest, open_by };
            return Ok((actor::start(created), there));
        }
    }
    Err(Error::Protocol("too many redirects".to_owned()))
}

/// Returns the fragments for Create, and the fragments that do not fit into it.
fn opening_fragments(
    opening: &[Outgoing],
    fragmenter: &mut Fragmenter,
    capacity: usize,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut data, mut rest) = (Vec::new(), Vec::new());
    for outgoing in opening {
        for fragment in fragmenter.cut(&outgoing.message.encode(), capacity - fragment::HEADER) {
            if rest.is_empty() && data.len() + fragment.len() <= capacity {
                data.extend(fragment);
            } else {
                rest.push(fragment);
            }
        }
    }
    (data, rest)
}

/// Returns the caller's shells on the endpoint.
pub async fn enumerate(endpoint: &Endpoint) -> Result<Vec<ShellInfo>, Error> {
    Shell::new(endpoint, Uuid::new_v4())?.enumerate().await
}
