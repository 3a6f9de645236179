//! Parses group profiles.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::Reader;
use crate::profile::keys::{self, GROUP, KEYS};
use crate::profile::name::wrong_name;

/// The profiles of a group, in their order, with their positions in the text.
#[derive(Clone, Debug)]
pub struct GroupMembers {
    pub names: Vec<Spanned<String>>,
    /// Shell of the group.
    pub shell: Option<String>,
}

impl Reader<'_> {
    pub(super) fn group(&mut self) -> GroupMembers {
        let known = keys::names(&KEYS);
        for key in self.table.keys().filter(|key| known.contains(&key.get_ref().as_ref())) {
            if !GROUP.contains(&key.get_ref().as_ref()) {
                let message = format!(
                    "{} is not valid in a group: set it in the profile of each connection",
                    key.get_ref()
                );
                self.mistake(key.span(), message);
            }
        }
        self.unknown_keys(self.table, &known, "a profile");
        GroupMembers { names: self.names(), shell: self.text("shell") }
    }

    fn names(&mut self) -> Vec<Spanned<String>> {
        let Some(value) = self.table.get("connections") else { return Vec::new() };
        let expected = "expected the names of profiles, for example connections = [\"lync\", \"exchange\"]";
        let DeValue::Array(array) = value.get_ref() else {
            self.mistake(value.span(), expected);
            return Vec::new();
        };
        if array.is_empty() {
            self.mistake(value.span(), expected);
        }
        let mut names: Vec<Spanned<String>> = Vec::new();
        for one in array {
            match one.get_ref().as_str() {
                None => self.mistake(one.span(), expected),
                Some(name) if names.iter().any(|known| known.get_ref() == name) => {
                    self.mistake(one.span(), format!("'{name}' is listed twice"));
                }
                Some(name) if wrong_name(name).is_some() => {
                    let reason = wrong_name(name).unwrap_or_default();
                    self.mistake(one.span(), format!("invalid profile name: {reason}"));
                }
                Some(name) => names.push(Spanned::new(one.span(), name.to_owned())),
            }
        }
        names
    }
}
