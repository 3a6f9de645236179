//! Changes settings in the text of a profile. Other settings, comments, order and line endings stay.

use std::path::Path;

use toml_edit::{DocumentMut, InlineTable, Item, Value};

use super::types::CredentialSource;
use crate::folders::beside;

/// Settings to write; `None` leaves a setting unchanged.
#[derive(Clone, Debug, Default)]
pub struct Settings<'a> {
    pub include: Option<&'a Path>,
    pub kind: Option<&'a str>,
    pub user: Option<&'a str>,
    pub domain: Option<&'a str>,
    pub uri: Option<&'a str>,
    pub discovery: Option<&'a str>,
    pub configuration: Option<&'a str>,
    pub authentication: Option<&'a str>,
    pub credential: Option<CredentialSource>,
}

/// Error of changing a text that is not TOML. Does not contain the text, which may include a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct NotToml {
    line: usize,
    reason: String,
}

fn document(text: &str) -> Result<DocumentMut, NotToml> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        NotToml { line: before.matches('\n').count() + 1, reason: error.message().to_owned() }
    })
}

impl Settings<'_> {
    /// Returns the text of a profile with these settings; `before` is empty for a new profile.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn apply(&self, before: &str) -> Result<String, NotToml> {
        let mut document = document(before)?;
        let include = self.include.map(|path| path.display().to_string());
        let texts = [
            ("include", include.as_deref()),
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
            Some(CredentialSource::System) => set(&mut document, "credential", "system".into()),
            Some(CredentialSource::Command { line, .. }) => set_source(&mut document, "command", line),
            Some(CredentialSource::Shared(entry)) => set_source(&mut document, "keyring", entry),
            Some(CredentialSource::File(path)) => {
                set_source(&mut document, "file", &path.display().to_string());
            }
        }
        Ok(finished(&document, before))
    }
}

/// The new name of a profile, to write into the profiles that refer to it.
#[derive(Clone, Copy, Debug)]
pub struct Renamed<'a> {
    pub old: &'a str,
    pub new: &'a str,
    /// File with the old name.
    pub file: &'a Path,
}

impl Renamed<'_> {
    /// Returns the text of the profile at `path` with the new name in `connections` and `include`; `None` if the
    /// profile does not contain the old name.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn apply(&self, path: &Path, before: &str) -> Result<Option<String>, NotToml> {
        let mut document = document(before)?;
        let mut is_changed = false;
        let mut put = |old: &mut Value, new: &str| {
            let mut value = Value::from(new);
            *value.decor_mut() = old.decor().clone();
            *old = value;
            is_changed = true;
        };
        if let Some(Item::Value(Value::Array(names))) = document.get_mut("connections") {
            names
                .iter_mut()
                .filter(|name| name.as_str() == Some(self.old))
                .for_each(|name| put(name, self.new));
        }
        if let Some(Item::Value(file)) = document.get_mut("include")
            && let Some(included) = file.as_str()
            && is_same(&beside(path.parent().unwrap_or(path), included), self.file)
            && let Some(name) = Path::new(included).file_name().and_then(|name| name.to_str())
            // The separators stay as they are.
            && let Some(folder) = included.strip_suffix(name)
        {
            let changed = format!("{folder}{}.toml", self.new);
            put(file, &changed);
        }
        Ok(is_changed.then(|| finished(&document, before)))
    }
}

/// Returns whether two paths name the same file, which may no longer exist.
fn is_same(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| {
        let folder = path.parent().unwrap_or(path);
        folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
    };
    one.file_name() == other.file_name() && folder(one) == folder(other)
}

/// Returns the text of a changed document, with the line ends of the text before.
fn finished(document: &DocumentMut, before: &str) -> String {
    let text = document.to_string();
    // toml_edit ends new lines with \n.
    if before.contains("\r\n") { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text }
}

/// Writes `credential = { KEY = "…" }`.
fn set_source(document: &mut DocumentMut, key: &str, text: &str) {
    let mut table = InlineTable::new();
    table.insert(key, text.into());
    set(document, "credential", table.into());
}

fn set(document: &mut DocumentMut, key: &str, mut value: Value) {
    match document.get_mut(key) {
        // An equal value keeps its quotes.
        Some(Item::Value(old)) if old.as_str().is_some() && old.as_str() == value.as_str() => {}
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
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
    fn a_new_profile_has_only_the_given_settings() {
        let settings = Settings {
            kind: Some("wsman"),
            user: Some("a\"b@c.d"),
            credential: Some(CredentialSource::command("pass \"show\" x")),
            ..Settings::default()
        };
        let text = settings.apply("").unwrap();
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["user"].as_str(), Some("a\"b@c.d"));
        assert_eq!(read["credential"]["command"].as_str(), Some("pass \"show\" x"));
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn other_settings_and_comments_stay() {
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
    fn a_new_name_is_written_into_groups_and_includes() {
        let renamed = Renamed { old: "work", new: "office", file: Path::new("/p/work.toml") };
        let changed = |text: &str| renamed.apply(Path::new("/p/x.toml"), text).unwrap();
        let group = "# Both.\nconnections = [\n  \"lab\", # first\n  \"work\",\n]\r\n";
        assert_eq!(
            changed(group).unwrap().replace('\r', ""),
            group.replace("work", "office").replace('\r', "")
        );
        for (text, after) in [
            ("include = \"work.toml\" # base\n", Some("include = \"office.toml\" # base\n")),
            ("include = \"/q/work.toml\"\n", None),
            ("user = \"work\"\n", None),
        ] {
            assert_eq!(changed(text).as_deref(), after);
        }
        // On Windows, the path has another separator.
        #[cfg(unix)]
        assert_eq!(
            changed("include = \"/p/work.toml\"\n").as_deref(),
            Some("include = \"/p/office.toml\"\n")
        );
    }

    #[test]
    fn a_credential_table_is_replaced() {
        let before = "kind = \"wsman\"\n\n[credential]\ncommand = \"old\"\n\n[timeouts]\nopen = \"9s\"\n";
        let settings = Settings { credential: Some(CredentialSource::Keyring), ..Settings::default() };
        let after: toml::Table = settings.apply(before).unwrap().parse().unwrap();
        assert_eq!(after["credential"].as_str(), Some("keyring"));
        assert_eq!(after["timeouts"]["open"].as_str(), Some("9s"));
    }

    #[test]
    fn an_include_with_dots_names_the_same_file() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("profiles");
        std::fs::create_dir(&folder).unwrap();
        let renamed = Renamed { old: "work", new: "office", file: &folder.join("work.toml") };
        let changed = |text: &str| renamed.apply(&folder.join("x.toml"), text).unwrap();
        assert_eq!(
            changed("include = \"../profiles/work.toml\"\n").as_deref(),
            Some("include = \"../profiles/office.toml\"\n")
        );
        assert_eq!(changed("include = \"../work.toml\"\n"), None);
    }

    #[test]
    fn a_text_that_is_not_toml_is_an_error_without_the_text() {
        let error = Settings::default().apply("kind = \"wsman\"\npassword = hunter2 x\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
    }
}
