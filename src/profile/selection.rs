//! Selection of profiles for a command that runs on many of them.

use std::collections::HashSet;

use super::read::{self, Parsed};
use super::store::{self, StoreError, check_name, names};
use super::types::Profile;
use crate::files::text;
use crate::folders::Folders;
use crate::nearest::nearest;

/// Profiles to select. A group profile stands for its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every profile. Groups add nothing: their connections are profiles.
    All,
    /// The profiles with a tag, and those whose tags cannot be read. Groups have no tags.
    Tag(String),
    /// Profiles by name, in this order. A connection of a group that is also named is selected once.
    Names(Vec<String>),
}

/// A selected profile, or the error of its file.
#[derive(Debug)]
pub struct Selected {
    pub name: String,
    pub profile: Result<Profile, StoreError>,
}

/// Error of a selection. Nothing was selected.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SelectionError {
    /// `--all` in a configuration without profiles.
    #[error("cannot select all profiles: there are none")]
    #[diagnostic(help("create one with `lyncsh add NAME --kind KIND --user USER@DOMAIN`"))]
    NoProfiles,
    /// The caller selected by name and passed no name.
    #[error("expected the names of profiles, got none")]
    #[diagnostic(help("pass names, for example `--profiles work,lab`"))]
    NoNames,
    /// The list of `--profiles` has a name more than once.
    #[error("the profile '{name}' is named twice")]
    #[diagnostic(help("pass each name once"))]
    Twice { name: String },
    /// No own or team folder has a file with one of these names.
    #[error("{}", unknown(.names))]
    Unknown {
        names: Vec<String>,
        #[help]
        advice: String,
    },
    /// No profile that can be read has the tag in `tags`.
    #[error("no profile has the tag '{tag}'")]
    Tag {
        tag: String,
        #[help]
        advice: String,
    },
    /// A word of the list cannot be the name of a profile: see `StoreError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Name(StoreError),
}

fn unknown(names: &[String]) -> String {
    match names {
        [name] => format!("there is no profile '{name}'"),
        names => format!("there are no profiles '{}'", names.join("', '")),
    }
}

/// Selects profiles. An invalid profile does not affect the others.
///
/// # Errors
/// The selection is invalid; the caller must not run anything.
pub fn select(folders: &Folders, selection: &Selection) -> Result<Vec<Selected>, SelectionError> {
    match selection {
        Selection::All => {
            let known = names(folders);
            if known.is_empty() {
                return Err(SelectionError::NoProfiles);
            }
            Ok(known.iter().filter_map(|name| one(folders, name)).collect())
        }
        Selection::Tag(tag) => tagged(folders, tag),
        Selection::Names(given) => named(folders, given),
    }
}

/// Returns a profile, or its error; `None` for a group.
fn one(folders: &Folders, name: &str) -> Option<Selected> {
    let profile = match store::load(folders, name) {
        Err(StoreError::Several { .. }) => return None,
        result => result,
    };
    Some(Selected { name: name.to_owned(), profile })
}

fn tagged(folders: &Folders, tag: &str) -> Result<Vec<Selected>, SelectionError> {
    let mut selected = Vec::new();
    let (mut known, mut is_used) = (Vec::<String>::new(), false);
    for one in names(folders).iter().filter_map(|name| one(folders, name)) {
        let tags = if let Ok(profile) = &one.profile {
            Some(profile.tags.clone())
        } else {
            let path = store::path(folders, &one.name);
            text::read(&path).ok().and_then(|text| read::tags(&path, &text))
        };
        let has_tag = tags.as_ref().map(|tags| tags.iter().any(|known| known == tag));
        is_used |= has_tag == Some(true);
        known.extend(tags.into_iter().flatten());
        // A profile whose tags cannot be read may have the tag: its error is reported.
        if has_tag != Some(false) {
            selected.push(one);
        }
    }
    if is_used {
        return Ok(selected);
    }
    known.sort();
    known.dedup();
    let advice = match nearest(tag, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => format!("add `tags = [\"{tag}\"]` with `lyncsh edit NAME`"),
        None => format!("existing tags: {}", known.join(", ")),
    };
    Err(SelectionError::Tag { tag: tag.to_owned(), advice })
}

fn named(folders: &Folders, given: &[String]) -> Result<Vec<Selected>, SelectionError> {
    if given.is_empty() {
        return Err(SelectionError::NoNames);
    }
    let mut seen = HashSet::new();
    for name in given {
        check_name(name, &[]).map_err(SelectionError::Name)?;
        if !seen.insert(name.as_str()) {
            return Err(SelectionError::Twice { name: name.clone() });
        }
    }
    let (mut selected, mut missing, mut meant) = (Vec::<Selected>::new(), Vec::new(), Vec::new());
    for name in given {
        match store::read(folders, name).map(|(.., read)| read) {
            Ok(Parsed::Single(profile)) => add(&mut selected, name, Ok(*profile)),
            Ok(Parsed::Group(list)) => {
                for name in list.names.iter().map(toml::Spanned::get_ref) {
                    add(&mut selected, name, store::load(folders, name));
                }
            }
            Err(StoreError::Missing { near, .. }) => {
                missing.push(name.clone());
                meant.extend(near);
            }
            Err(error) => add(&mut selected, name, Err(error)),
        }
    }
    if missing.is_empty() { Ok(selected) } else { Err(not_found(missing, &meant)) }
}

fn add(selected: &mut Vec<Selected>, name: &str, profile: Result<Profile, StoreError>) {
    if selected.iter().all(|one| one.name != name) {
        selected.push(Selected { name: name.to_owned(), profile });
    }
}

fn not_found(missing: Vec<String>, meant: &[String]) -> SelectionError {
    let advice = match meant {
        [] => "list the profiles with `lyncsh list`".to_owned(),
        meant => format!("did you mean '{}'?", meant.join("', '")),
    };
    SelectionError::Unknown { names: missing, advice }
}

#[cfg(test)]
mod tests {
    use miette::Diagnostic as _;

    use super::*;

    fn world(profiles: &[(&str, &str)]) -> (tempfile::TempDir, Folders) {
        let (temp, folders) = Folders::temporary();
        std::fs::create_dir_all(folders.profiles()).unwrap();
        for (name, text) in profiles {
            std::fs::write(folders.profile(name), text).unwrap();
        }
        (temp, folders)
    }

    fn valid(more: &str) -> String {
        format!("kind = \"lync-online\"\nuser = \"a@b.c\"\n{more}")
    }

    /// Returns the selected names, with a ! before those with an error.
    fn names(selected: Result<Vec<Selected>, SelectionError>) -> Vec<String> {
        let name = |one: Selected| format!("{}{}", if one.profile.is_ok() { "" } else { "!" }, one.name);
        selected.unwrap().into_iter().map(name).collect()
    }

    fn of(list: &[&str]) -> Selection {
        Selection::Names(list.iter().map(|&name| name.to_owned()).collect())
    }

    fn problem(folders: &Folders, selection: &Selection) -> String {
        let error = select(folders, selection).unwrap_err();
        format!("{error} / {}", error.help().unwrap())
    }

    #[test]
    fn an_invalid_profile_does_not_affect_the_others() {
        let eu = valid("tags = [\"customers\", \"eu\"]");
        let (_temp, folders) = world(&[
            ("a", &eu),
            ("b", &valid("tags = [\"customers\"]")),
            ("c", &valid("")),
            ("both", "connections = [\"c\", \"a\", \"gone\"]"),
            ("broken", &format!("{eu}\nusr = 1")),
            ("other", &valid("tags = [\"us\"]\nusr = 1")),
            ("torn", "kind = "),
        ]);
        assert_eq!(names(select(&folders, &Selection::All)), ["a", "b", "!broken", "c", "!other", "!torn"]);
        let tag = |tag: &str| names(select(&folders, &Selection::Tag(tag.to_owned())));
        assert_eq!(tag("customers"), ["a", "b", "!broken", "!torn"]);
        assert_eq!(tag("eu"), ["a", "!broken", "!torn"]);
        assert_eq!(names(select(&folders, &of(&["torn", "b", "a"]))), ["!torn", "b", "a"]);
        assert_eq!(names(select(&folders, &of(&["a", "both"]))), ["a", "c", "!gone"]);
    }

    #[test]
    fn a_mistake_in_a_selection_selects_nothing() {
        let (_temp, folders) = world(&[]);
        assert!(problem(&folders, &Selection::All).contains("there are none / create one"));
        let tag = Selection::Tag("customer".to_owned());
        assert!(problem(&folders, &tag).contains("add `tags = [\"customer\"]`"));
        let (_temp, folders) =
            world(&[("contoso", &valid("tags = [\"customers\"]")), ("torn", "kind = "), ("b", &valid(""))]);
        assert_eq!(problem(&folders, &tag), "no profile has the tag 'customer' / did you mean 'customers'?");
        assert_eq!(
            problem(&folders, &Selection::Tag("xx".to_owned())),
            "no profile has the tag 'xx' / existing tags: customers"
        );
        assert_eq!(
            problem(&folders, &of(&["contosso", "b", "zz"])),
            "there are no profiles 'contosso', 'zz' / did you mean 'contoso'?"
        );
        assert_eq!(
            problem(&folders, &of(&["b", "contoso", "b"])),
            "the profile 'b' is named twice / pass each name once"
        );
        assert!(problem(&folders, &of(&[])).starts_with("expected the names of profiles, got none"));
        let invalid = select(&folders, &of(&["b", ""])).unwrap_err();
        assert_eq!(invalid.to_string(), "invalid profile name '': the name is empty");
    }
}
