//! An endpoint on loopback that behaves as Lync Online's did: what `lyncsh demo` and the tests
//! connect to. [`engine`] is the tenant and its cmdlets. In front of it, [`Server`] is discovery, the
//! token service and WSMan over HTTP; [`stream`] is out-of-process framing over any byte stream.

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
pub use options::{MadeUpCommand, Options, Parameter};
pub use pool::{PoolSizeError, TakeError};
pub use server::Server;
