//! One file for each subcommand.

pub mod attach;
pub mod connect;
pub mod status;
pub mod stop;
