//! Connections of a profile: one, or several for a group profile.

use std::collections::HashMap;
use std::path::PathBuf;

use super::kind::Kind;
use super::read::{GroupMembers, Mistake, Parsed, ProfileError, Source};
use super::store::{self, StoreError, load, read};
use super::types::Profile;
use crate::folders::Folders;

/// The connections of one profile.
#[derive(Clone, Debug)]
pub struct Connections {
    /// The requested profile.
    pub name: String,
    pub path: PathBuf,
    /// `console`, or a PowerShell by name or path; `None` for the first shell found.
    pub shell: Option<String>,
    /// Never empty.
    pub profiles: Vec<Profile>,
}

impl From<Profile> for Connections {
    fn from(profile: Profile) -> Self {
        Self {
            name: profile.name.clone(),
            path: profile.path.clone(),
            shell: profile.shell.clone(),
            profiles: vec![profile],
        }
    }
}

impl Connections {
    /// Returns the profile if it is the only one.
    pub fn alone(mut self) -> Result<Profile, Self> {
        match self.profiles.pop() {
            Some(profile) if self.profiles.is_empty() => Ok(profile),
            last => {
                self.profiles.extend(last);
                Err(self)
            }
        }
    }

    /// Returns the profiles' names.
    pub fn names(&self) -> Vec<&str> {
        self.profiles.iter().map(|profile| profile.name.as_str()).collect()
    }
}

/// Reads a profile and its connections.
pub fn connections(folders: &Folders, name: &str) -> Result<Connections, StoreError> {
    let (path, text, found) = read(folders, name)?;
    let list = match found {
        Parsed::Single(profile) => return Ok((*profile).into()),
        Parsed::Group(list) => list,
    };
    let (profiles, mistakes) = named(folders, &list)?;
    if !mistakes.is_empty() {
        let error = ProfileError::of(&[Source { path, text }], mistakes);
        return Err(store::mistakes(folders, name, error));
    }
    Ok(Connections { name: name.to_owned(), path, shell: list.shell, profiles })
}

/// Reads the profiles of a list. Returns them and the mistakes in the list.
fn named(folders: &Folders, list: &GroupMembers) -> Result<(Vec<Profile>, Vec<Mistake>), StoreError> {
    let (mut profiles, mut mistakes) = (Vec::new(), Vec::new());
    let mut owners: HashMap<(&str, Option<String>), String> = HashMap::new();
    for place in &list.names {
        let name = place.get_ref();
        let mut mistake = |message| mistakes.push(Mistake { span: place.span(), message });
        match load(folders, name) {
            Ok(profile) => {
                if let Some(family) = family(profile.kind) {
                    let key = (family, profile.import.prefix.clone());
                    if let Some(other) = owners.insert(key, name.clone()) {
                        mistake(format!(
                            "'{other}' and '{name}' have cmdlets with the same names: set prefix in one of them"
                        ));
                    }
                }
                profiles.push(profile);
            }
            Err(StoreError::Missing { near, .. }) => {
                let end = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
                mistake(format!("there is no profile '{name}'{end}"));
            }
            Err(StoreError::Several { .. }) => {
                mistake(format!("'{name}' is itself a group; list its connections instead"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((profiles, mistakes))
}

/// Returns whether two profiles have commands with the same names: the same prefix, and the same product or endpoint.
pub fn same_names(one: &Profile, other: &Profile) -> bool {
    let of_a_family = family(one.kind).is_some_and(|family_of_one| Some(family_of_one) == family(other.kind));
    let of_an_endpoint =
        one.uri.is_some() && one.uri == other.uri && one.configuration == other.configuration;
    one.import.prefix == other.import.prefix && (of_a_family || of_an_endpoint)
}

/// Returns a common noun of the kind's cmdlets: kinds with the same noun have the same cmdlets.
fn family(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::LyncOnline | Kind::SkypeServer | Kind::Teams => Some("Cs"),
        Kind::ExchangeServer | Kind::ExchangeOnline => Some("Mailbox"),
        Kind::Wsman => None,
    }
}
