//! Launching of an installed PowerShell: discovery, arguments, and the gate that holds its output back until
//! the launcher has finished.

pub mod arguments;
pub mod find;
pub mod modules;
pub mod output_gate;
