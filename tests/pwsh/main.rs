//! Tests of the module in a real PowerShell with the simulator. Skipped with a message without a PowerShell;
//! can run on another machine from a `cargo nextest archive`.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

#[path = "../front/mod.rs"]
mod front;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod interactive;
#[cfg(unix)]
mod lyncsh_terminal;
mod modules;
#[cfg(unix)]
mod orders;
#[path = "../suite/program.rs"]
mod program;
mod proxies;
#[cfg(unix)]
mod real;
mod session;
#[cfg(unix)]
#[path = "../suite/terminal.rs"]
mod terminal;
mod views;
mod world;
