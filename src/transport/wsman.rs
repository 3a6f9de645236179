//! WSMan (MS-WSMV): a runspace pool as a shell on an HTTP endpoint. [`envelope`] and [`fault`] are pure;
//! [`connect`] is the client.

mod actor;
mod affinity;
mod connect;
mod connections;
mod credential;
mod endpoint;
pub mod envelope;
pub mod fault;
mod http;
mod opening;
mod outcome;
mod outgoing;
mod peek;
mod pending_creates;
mod pipeline;
mod probe;
mod receive;
mod redirect;
mod removal;
mod removal_lock;
mod send_state;
mod sequence;
mod shell;
mod wire;

pub use affinity::{Affinity, StoredAffinity};
pub use connect::{connect, enumerate};
pub use endpoint::{Authentication, Endpoint, RemovalRecorder, Renew};
pub use envelope::ShellInfo;
pub use probe::{Probe, ProbeConnection, ProbeResponse};
pub use redirect::check_redirect;
pub use removal::{RemovalState, remove, try_remove};
pub use shell::Removal;
