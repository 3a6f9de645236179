//! What is there before lyncsh is called: the block in PowerShell's startup script.

pub mod block;
pub mod startup;
