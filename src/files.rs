//! Replacing files and reading text files.

pub mod replace;
pub mod text;
