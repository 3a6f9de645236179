//! Names of profiles and of keyring entries.

/// Returns the error of an invalid name.
pub fn wrong_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the name is empty");
    }
    if name.starts_with(['-', '.']) || name.chars().any(|one| one.is_control() || "/\\:*?\"<>|".contains(one))
    {
        return Some("use letters, digits, spaces, '-', '_' and '.', and begin with a letter or digit");
    }
    (name.chars().count() > 64).then_some("the name is longer than 64 characters")
}
