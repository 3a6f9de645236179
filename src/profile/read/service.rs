//! What a profile says about a service whose session a module has.

use super::reader::{KEYS, Reader};
use crate::profile::service::{Service, SignIn};
use crate::profile::types::{CONSOLE, Profile};

impl Reader<'_> {
    /// A module takes little of what a profile can say.
    pub(super) fn service(&mut self, profile: &Profile, service: Service) {
        let kind = profile.kind;
        let keys: Vec<String> = self.table.keys().map(|key| key.get_ref().to_string()).collect();
        for key in keys.iter().filter(|key| KEYS.contains(&key.as_str())) {
            if !kind.service_keys().contains(&key.as_str()) {
                let message = format!(
                    "{key} means nothing for kind \"{kind}\": the module {} has the session",
                    service.module
                );
                self.mistake(self.span(key), message);
            }
        }
        if profile.user.is_none() && service.needs_user(kind) {
            let how = service.sign_in.name();
            self.missing(format!(
                "authentication \"{how}\" needs user, for example user = \"admin@example.com\""
            ));
        }
        if profile.shell.as_deref() == Some(CONSOLE) {
            let message = format!("kind \"{kind}\" is a PowerShell module, which the console can't load");
            self.mistake(self.span("shell"), message);
        }
    }

    pub(super) fn sign_in(&mut self) -> SignIn {
        let Some(word) = self.text("authentication") else { return SignIn::DeviceCode };
        let found = SignIn::ALL.into_iter().find(|one| one.name() == word);
        if found.is_none() {
            self.unknown_word("authentication", &word, &SignIn::ALL.map(SignIn::name));
        }
        found.unwrap_or(SignIn::DeviceCode)
    }
}
