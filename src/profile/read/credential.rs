//! Parses the source of the secret.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Reader;
use crate::folders::beside;
use crate::profile::keys::{self, SOURCES};
use crate::profile::name::wrong_name;
use crate::profile::types::{CREDENTIALS_DIRECTORY, CredentialSource};

impl Reader<'_> {
    /// Parses `credential` or `proxy_credential`. A relative path starts at the folder of the file with the key; `~` is
    /// the home directory.
    pub(super) fn credential(&mut self, key: &str) -> CredentialSource {
        let Some(value) = self.table.get(key) else { return CredentialSource::Keyring };
        match value.get_ref() {
            DeValue::String(word) if word == "keyring" => CredentialSource::Keyring,
            DeValue::String(word) if word == "prompt" => CredentialSource::Prompt,
            DeValue::String(word) if word == "system" => CredentialSource::System,
            DeValue::Table(table) => self.source(key, (table, value)),
            _ => {
                self.mistake(
                    value.span(),
                    "expected \"keyring\", \"prompt\", \"system\", { keyring = \"…\" }, { file = \"…\" } or \
                     { command = \"…\" }; a profile must not contain a secret",
                );
                CredentialSource::Prompt
            }
        }
    }

    fn source(
        &mut self,
        key: &str,
        (table, value): (&DeTable<'_>, &Spanned<DeValue<'_>>),
    ) -> CredentialSource {
        self.unknown_keys(table, &keys::names(&SOURCES), key);
        let text = |key: &str| {
            let text = table.get(key)?.get_ref().as_str()?;
            (table.len() == 1 && !text.trim().is_empty()).then(|| text.to_owned())
        };
        if let Some(command) = text("command") {
            return CredentialSource::Command { line: command, folder: self.folder(key) };
        }
        if let Some(file) = text("file") {
            let is_systemd = Path::new(&file).starts_with(CREDENTIALS_DIRECTORY);
            let folder = if is_systemd { PathBuf::new() } else { self.folder(key) };
            return CredentialSource::File(beside(&folder, &file));
        }
        if let Some(entry) = text("keyring") {
            if let Some(reason) = wrong_name(&entry) {
                self.mistake(value.span(), format!("invalid name of a keyring entry: {reason}"));
            }
            return CredentialSource::Shared(entry);
        }
        self.mistake(
            value.span(),
            format!("expected {key} = {{ command = \"a command that prints the password\" }}, {{ file = \"…\" }} or \
             {{ keyring = \"…\" }}"),
        );
        CredentialSource::Prompt
    }
}
