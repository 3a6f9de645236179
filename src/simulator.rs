//! Simulated Lync Online endpoint on loopback, for `lyncsh demo` and the tests. [`engine`] implements the
//! tenant and its cmdlets. [`Server`] adds discovery, the token service and WSMan over HTTP; [`stream`] adds
//! out-of-process framing over any byte stream.

mod acceptor;
mod authentication;
mod backend;
mod check;
mod discovery;
mod endpoint;
pub mod engine;
mod http;
mod omi;
mod options;
mod pool;
mod server;
mod shell;
pub mod stream;
mod wsman;

pub use backend::{Backend, Backends};
pub use endpoint::{DOMAIN, Open, PASSWORD, USER};
pub use options::{Authentication, MadeUpCommand, Options, Parameter, TenantFault};
pub use pool::{PoolSizeError, TakeError};
pub use server::Server;
