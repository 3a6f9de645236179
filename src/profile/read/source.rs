//! Texts of the files of a profile.

use std::path::PathBuf;

/// A file of a profile.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// Returns the start of a file in the concatenation of all files. Positions of mistakes refer to the concatenation.
pub fn start_of(sources: &[Source], at: usize) -> usize {
    sources[..at].iter().map(|source| source.text.len() + 1).sum()
}
