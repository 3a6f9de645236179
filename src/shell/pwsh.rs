//! A PowerShell of the person's own, as a process beside lyncsh: which one it is, what it is called
//! with, and how it waits until the launcher has stopped talking.

pub mod arguments;
pub mod find;
pub mod output_gate;
