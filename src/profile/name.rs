//! Names of profiles and of keyring entries, and tags.

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

/// Returns the error of an invalid tag.
pub fn wrong_tag(tag: &str) -> Option<&'static str> {
    let fits = |one: char| one.is_alphanumeric() || "-_.".contains(one);
    if tag.is_empty() || !tag.chars().all(fits) {
        return Some("expected a tag: a word of letters, digits, '-', '_' and '.'");
    }
    (tag.chars().count() > 64).then_some("the tag is longer than 64 characters")
}
