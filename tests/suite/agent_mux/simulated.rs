//! The simulator's tenant on a stream: the remote end for recordings and peers.

use lyncsh::simulator::engine::World;
use lyncsh::simulator::{Options, USER, stream};
use lyncsh::transport::stream::connect;
use lyncsh::transport::{Connection, Limits};

/// Returns a connection to a tenant that also has the commands of the recordings' endpoint.
pub fn endpoint() -> Connection {
    let world = World::new(&Options { fixtures: true, ..Options::default() });
    let (here, there) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move { stream::serve(here, world, USER).await.expect("a client by the rules") });
    connect(there, Limits::default())
}
