//! The simulator's tenant behind a stream: the remote end that recordings and peers are given.

use lyncsh::simulator::engine::World;
use lyncsh::simulator::{Options, USER, stream};
use lyncsh::transport::stream::connect;
use lyncsh::transport::{Connection, Limits};

/// A connection to a tenant that has the commands of the recordings' endpoint too.
pub fn endpoint() -> Connection {
    let world = World::new(&Options { fixtures: true, ..Options::default() });
    let (here, there) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move { stream::serve(here, world, USER).await.expect("a client by the rules") });
    connect(there, Limits::default())
}
