//! Text as a literal of another language: the only place where a value becomes part of a script, a command line or a
//! desktop file.

pub mod desktop;
pub mod powershell;
