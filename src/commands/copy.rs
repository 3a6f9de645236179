//! `lyncsh copy`: creates a profile with the settings and the password of another one.

use miette::{Context as _, IntoDiagnostic as _};

use super::names;
use crate::credential;
use crate::files::replace::{New, create_new};
use crate::folders::Folders;
use crate::profile::{self, Settings, StoreError};

/// Copies the profile's file and its passwords in the keyring. History, caches and shortcuts are not copied, nor a
/// user's sign-in: a token service may accept its refresh token only once.
pub async fn run(folders: &Folders, old: &str, new: &str) -> miette::Result<()> {
    // An invalid profile can be copied.
    let (profile, is_group) = match profile::load(folders, old) {
        Err(error @ (StoreError::Missing { .. } | StoreError::Name { .. })) => return Err(error.into()),
        Err(StoreError::Several { .. }) => (None, true),
        result => (result.ok(), false),
    };
    names::check_new(folders, new)?;
    let to = folders.profile(new);
    let content = match profile::of_team(folders, old) {
        // The copy includes a team's profile instead of repeating it: its relative paths start at the team's folder,
        // and the team may change it. A group cannot be included, and has no paths.
        Some(team) if !is_group => {
            Settings { include: Some(&team), ..Settings::default() }.apply("").into_diagnostic()?.into()
        }
        _ => {
            let from = profile::path(folders, old);
            std::fs::read(&from)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot read {}", from.display()))?
        }
    };
    std::fs::create_dir_all(folders.profiles())
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot create {}", folders.profiles().display()))?;
    create_new(&to, &content, New::Private)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write the profile to {}", to.display()))?;
    crate::outln!("The profile '{old}' is copied to {}.", to.display());
    // A shared entry serves both profiles.
    let entries = if is_group { Vec::new() } else { names::own_entries(profile.as_ref()) };
    for entry in entries {
        if let Err(error) = entry.copy(folders, old, new).await {
            crate::outln!(
                "Its password was not copied ({error}). If it has one, store it with `lyncsh login {new}{}`.",
                entry.option
            );
        }
    }
    if profile.is_some_and(|profile| {
        credential::keeps_refresh_token(&profile) && profile.keyring_entry() == Some(old)
    }) {
        crate::outln!("Its sign-in was not copied. Sign in with `lyncsh login {new}`.");
    }
    crate::outln!("Change its settings with: lyncsh edit {new}");
    Ok(())
}
