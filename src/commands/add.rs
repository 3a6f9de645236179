//! `lyncsh add`: writes profiles and stores their passwords.

mod conversation;
mod options;
mod tenants;

use miette::{Context as _, IntoDiagnostic as _};

use self::options::{Before, Stored, before, needs_password, report_file, source, store, written};
use super::connect::Context;
use super::names;
use super::usage::usage;
use crate::cli::{self, Add};
use crate::credential;
use crate::files::replace::{New, replace};
use crate::folders::Folders;
use crate::profile::{self, CredentialSource, Profile};

/// Creates or changes a profile: from the options, from the answers of the user, or from a file with many profiles.
pub async fn run(context: &Context, mut add: Add) -> miette::Result<()> {
    let folders = &context.folders;
    if let Some(file) = &add.from {
        return tenants::run(folders, &add, file).await;
    }
    let asks = !add.force && (add.name.is_none() || add.kind.is_none());
    if asks {
        conversation::ask(folders, &mut add)?;
    }
    let Some(name) = add.name.clone() else {
        return Err(usage!(help = "pass the name of the profile to change", "--force needs a profile"));
    };
    let profile = one(folders, &add, &name).await?;
    if asks { conversation::offer(context, profile).await } else { Ok(()) }
}

/// Checks the settings, stores the password and writes the profile. A failure leaves no new profile.
async fn one(folders: &Folders, add: &Add, name: &str) -> miette::Result<Profile> {
    let path = folders.profile(name);
    let before = before(folders, add, name)?;
    // An existing profile may have the name of a command that a later version added.
    profile::check_name(name, if before.is_some() { &[] } else { cli::taken() })?;
    let mut credential = source(add, before.as_ref())?;
    let (text, profile) = loop {
        let (text, profile) = written(folders, add, name, before.as_ref(), credential.clone())?;
        let is_own = profile.credential == CredentialSource::Keyring;
        if is_own && !before.as_ref().is_some_and(Before::has_own_entry) {
            names::check_entry(folders, name)?;
        }
        let has_secret = credential::is_needed(&profile) || credential::keeps_refresh_token(&profile);
        if is_own && has_secret && before.is_none() {
            // Deletes the secrets of an earlier profile of this name. An unusable keyring is reported below, if it is
            // needed.
            let _ = credential::delete_all(folders, name).await;
        }
        if !needs_password(&profile, add, before.as_ref()).await {
            break (text, profile);
        }
        match store(&profile, add, before.as_ref()).await? {
            Stored::Yes => break (text, profile),
            // Checked again: the existing settings may conflict with the other source.
            Stored::Instead(other) => credential = Some(other),
        }
    };
    std::fs::create_dir_all(folders.profiles())
        .and_then(|()| replace(&path, text.as_bytes(), New::Private))
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write the profile to {}", path.display()))?;
    if add.credential_file.is_some()
        && let CredentialSource::File(file) = &profile.credential
    {
        report_file(file);
    }
    crate::outln!(
        "The profile '{0}' is written to {1}.\nOpen its shell with: lyncsh {0}",
        profile.name,
        path.display()
    );
    Ok(profile)
}
