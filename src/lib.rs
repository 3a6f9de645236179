//! Client for remote PowerShell endpoints: one agent owns the remote session, shells attach to it, and
//! the session is removed even if the shell or the agent crashes.
//!
//! Imports point to lower layers only; ARCHITECTURE.md lists the layers, and a test checks them.

// The compiler must prove that the deeply nested futures of connections are Send; its default limit is 128.
#![recursion_limit = "256"]

pub mod advice;
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
pub mod nearest;
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
