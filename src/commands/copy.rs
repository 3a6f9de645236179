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
    let profile = match profile::load(folders, old) {
        Err(error @ (StoreError::Missing { .. } | StoreError::Name { .. })) => return Err(error.into()),
        result => result.ok(),
    };
    names::check_new(folders, new)?;
    let to = folders.profile(new);
    let content = if let Some(team) = profile::of_team(folders, old) {
        // Its relative paths start at the team's folder, and the team may change it.
        Settings { include: Some(&team), ..Settings::default() }.apply("").into_diagnostic()?.into()
    } else {
        let from = folders.profile(old);
        std::fs::read(&from).into_diagnostic().wrap_err_with(|| format!("cannot read {}", from.display()))?
    };
    std::fs::create_dir_all(folders.profiles())
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot create {}", folders.profiles().display()))?;
    create_new(&to, &content, New::Private)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write the profile to {}", to.display()))?;
    crate::outln!("The profile '{old}' is copied to {}.", to.display());
    let Some(profile) = profile else { return Ok(()) };
    let keeps_sign_in = credential::keeps_refresh_token(&profile);
    let main = profile.keyring_entry().map(str::to_owned).filter(|_| !keeps_sign_in);
    let proxy = profile.proxy_entry().filter(|_| profile.proxy_user.is_some());
    let entries = [
        (main, old.to_owned(), new.to_owned(), ""),
        (proxy, format!("{old}/proxy"), format!("{new}/proxy"), " --proxy"),
    ];
    for (entry, from, to, option) in entries {
        // A shared entry serves both profiles.
        if entry.as_ref() == Some(&from)
            && let Err(error) = credential::copy(&from, &to).await
        {
            crate::outln!(
                "Its password was not copied ({error}). If it has one, store it with `lyncsh login {new}{option}`."
            );
        }
    }
    if keeps_sign_in && profile.keyring_entry() == Some(old) {
        crate::outln!("Its sign-in was not copied. Sign in with `lyncsh login {new}`.");
    }
    crate::outln!("Change its settings with: lyncsh edit {new}");
    Ok(())
}
