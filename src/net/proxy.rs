//! Proxies: which one a request uses, and connections through it (HTTP `CONNECT`, SOCKS 5).

mod address;
mod error;
mod login;
mod route;
mod socks;
mod tunnel;

pub use address::{NotProxy, Protocol, ProxyAddress, ProxySetting};
pub use error::{ProxyError, ProxyProblem, ProxyStep};
pub use login::ProxyLogin;
pub use route::{Proxies, Proxy};
pub use socks::Socks;
pub use tunnel::{Dial, Link, Tunnel};
