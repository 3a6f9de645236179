//! Texts of the files of a profile.

use std::path::PathBuf;

/// A file of a profile.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// Returns the position of a file in the concatenation of all files, in which mistakes have their positions.
pub fn start_of(sources: &[Source], at: usize) -> usize {
    sources[..at].iter().map(|source| source.text.len() + 1).sum()
}
