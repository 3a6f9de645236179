//! Replacing, locking and reading files.

pub mod lock;
pub mod replace;
pub mod text;
