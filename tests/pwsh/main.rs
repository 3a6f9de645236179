//! The PowerShell module in a real PowerShell, on the simulator. Skipped, and said so, where there is no
//! PowerShell; it is made to run elsewhere, from a `cargo nextest archive`.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

#[path = "../front/mod.rs"]
mod front;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod interactive;
#[cfg(unix)]
mod orders;
mod proxies;
#[cfg(unix)]
mod real;
mod session;
#[cfg(unix)]
mod terminal;
mod views;
mod world;
