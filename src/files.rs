//! Files of the user's and of lyncsh's own: how one is replaced, and how text is read.

pub mod replace;
pub mod text;
