//! Parses the keys of module kinds.

use super::reader::Reader;
use crate::profile::keys::{self, KEYS};
use crate::profile::kind::Kind;
use crate::profile::service::{Service, SignIn};
use crate::profile::types::{CONSOLE, Profile};

impl Reader<'_> {
    /// Checks the keys of a module kind.
    pub(super) fn service(&mut self, profile: &Profile, service: Service) {
        let kind = profile.kind;
        let keys: Vec<String> = self.table.keys().map(|key| key.get_ref().to_string()).collect();
        let known = keys::names(&KEYS);
        for key in keys.iter().filter(|key| known.contains(&key.as_str())) {
            if !kind.permits(key) {
                let message = format!(
                    "{key} is not valid for kind \"{kind}\": the module {} opens the session",
                    service.module
                );
                self.mistake(self.span(key), message);
            }
        }
        let how = service.sign_in.name();
        if !self.has("user") && service.needs_user(kind) {
            self.missing(format!(
                "authentication \"{how}\" needs user, for example user = \"admin@example.com\""
            ));
        }
        for key in service.needed_keys(kind) {
            if !self.has(key) {
                self.missing(format!("authentication \"{how}\" of kind \"{kind}\" needs {key}"));
            }
        }
        for key in ["client_id", "certificate", "key"] {
            if self.has(key) && !service.permits(kind, key) {
                self.mistake(self.span(key), format!("{key} is not valid with authentication = \"{how}\""));
            }
        }
        if profile.shell.as_deref() == Some(CONSOLE) {
            let message = format!("kind \"{kind}\" needs PowerShell: the console cannot load its module");
            self.mistake(self.span("shell"), message);
        }
    }

    pub(super) fn service_sign_in(&mut self, kind: Kind) -> SignIn {
        let kind = Some(kind);
        self.word("authentication", kind, &SignIn::ALL, SignIn::name).unwrap_or(SignIn::DeviceCode)
    }
}
