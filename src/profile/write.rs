//! Changes settings in the text of a profile, and leaves everything else in it as it is: other settings,
//! comments, order, the ends of its lines.

use toml_edit::{DocumentMut, InlineTable, Item, Value};

use super::types::CredentialSource;

/// The settings that are to be written; `None`: stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Settings<'a> {
    pub kind: Option<&'a str>,
    pub user: Option<&'a str>,
    pub domain: Option<&'a str>,
    pub uri: Option<&'a str>,
    pub discovery: Option<&'a str>,
    pub configuration: Option<&'a str>,
    pub authentication: Option<&'a str>,
    pub credential: Option<CredentialSource>,
}

/// Why a text cannot be changed: it is not TOML.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotToml(String);

impl Settings<'_> {
    /// The text of a profile with these settings; `before` is empty for a new one.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn apply(&self, before: &str) -> Result<String, NotToml> {
        let mut document: DocumentMut =
            before.parse().map_err(|error: toml_edit::TomlError| NotToml(error.to_string()))?;
        let texts = [
            ("kind", self.kind),
            ("user", self.user),
            ("domain", self.domain),
            ("uri", self.uri),
            ("discovery", self.discovery),
            ("configuration", self.configuration),
            ("authentication", self.authentication),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                set(&mut document, key, text.into());
            }
        }
        match &self.credential {
            None => {}
            Some(CredentialSource::Keyring) => set(&mut document, "credential", "keyring".into()),
            Some(CredentialSource::Prompt) => set(&mut document, "credential", "prompt".into()),
            Some(CredentialSource::Command(command)) => {
                let mut table = InlineTable::new();
                table.insert("command", command.as_str().into());
                set(&mut document, "credential", table.into());
            }
        }
        let text = document.to_string();
        // The editor of the document ends its own lines in one way.
        Ok(if before.contains("\r\n") { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text })
    }
}

fn set(document: &mut DocumentMut, key: &str, mut value: Value) {
    match document.get_mut(key) {
        // As it is written there: the kind of quotes is the user's.
        Some(Item::Value(there)) if there.as_str().is_some() && there.as_str() == value.as_str() => {}
        Some(Item::Value(there)) => {
            *value.decor_mut() = there.decor().clone();
            *there = value;
        }
        _ => {
            document.insert(key, Item::Value(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_profile_has_what_was_said_and_nothing_else() {
        let settings = Settings {
            kind: Some("wsman"),
            user: Some("a\"b@c.d"),
            credential: Some(CredentialSource::Command("pass \"show\" x".into())),
            ..Settings::default()
        };
        let text = settings.apply("").unwrap();
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["user"].as_str(), Some("a\"b@c.d"));
        assert_eq!(read["credential"]["command"].as_str(), Some("pass \"show\" x"));
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn what_was_not_said_stays_with_its_comments() {
        let before = "# The lab.\nkind = 'wsman' # quoted so\n\nuser = \"old@a.b\"   # who\n\
                      uri = \"https://a.b/wsman\"\nprefix = \"Lab\"\n\n[timeouts]\n# slow\nopen = \"90s\"\n";
        let settings = Settings { kind: Some("wsman"), user: Some("new@a.b"), ..Settings::default() };
        assert_eq!(settings.apply(before).unwrap(), before.replace("old@a.b", "new@a.b"));
        let windows = before.replace('\n', "\r\n");
        let more = Settings { credential: Some(CredentialSource::Prompt), ..settings };
        let after = more.apply(&windows).unwrap();
        assert_eq!(after.replace("\r\n", "\n"), more.apply(before).unwrap());
        assert!(!after.replace("\r\n", "").contains('\n'));
        assert!(after.contains("credential = \"prompt\"\r\n") && after.contains("# slow"), "{after}");
        let read: toml::Table = after.parse().unwrap();
        assert_eq!(read["credential"].as_str(), Some("prompt"));
        assert_eq!(read["timeouts"].as_table().unwrap().len(), 1);
    }

    #[test]
    fn a_credential_in_a_table_of_its_own_is_replaced() {
        let before = "kind = \"wsman\"\n\n[credential]\ncommand = \"old\"\n\n[timeouts]\nopen = \"9s\"\n";
        let settings = Settings { credential: Some(CredentialSource::Keyring), ..Settings::default() };
        let after: toml::Table = settings.apply(before).unwrap().parse().unwrap();
        assert_eq!(after["credential"].as_str(), Some("keyring"));
        assert_eq!(after["timeouts"]["open"].as_str(), Some("9s"));
    }

    #[test]
    fn what_is_not_toml_is_not_changed() {
        assert!(Settings::default().apply("kind = ").is_err());
    }
}
