//! One file for each subcommand.

pub mod attach;
pub mod connect;
pub mod session;
pub mod status;
pub mod stop;
