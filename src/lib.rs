//! A way into PowerShell-managed tenants: one agent owns the remote session, shells attach to it,
//! and the session is removed whatever happens to either.
//!
//! Dependencies point one way: `commands` -> `agent`, `shell`, `desktop` -> `line`, `transport`,
//! `credential`, `discovery` -> `psrp`, `profile`. `simulator` uses `psrp`, `line::draw` and the
//! pure envelopes of `transport::wsman`; nothing but `commands::demo` and tests uses it.

pub mod agent;
pub mod cli;
pub mod commands;
pub mod credential;
pub mod desktop;
pub mod discovery;
pub mod exit;
pub mod exports;
pub mod files;
pub mod folders;
pub mod keys;
pub mod line;
pub mod net;
pub mod output;
pub mod platform;
pub mod profile;
pub mod psrp;
pub mod quote;
pub mod screen;
pub mod security;
pub mod shell;
#[cfg(feature = "demo")]
pub mod simulator;
pub mod step;
pub mod transport;
pub mod wildcard;
