//! The user's PowerShell as a child process: its program, its arguments, and the output gate at which it
//! waits for the launcher.

pub mod arguments;
pub mod find;
pub mod output_gate;
