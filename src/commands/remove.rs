//! `lyncsh remove`: takes a profile away, and its password.

use miette::{Context as _, IntoDiagnostic as _};

use crate::credential;
use crate::folders::Folders;
use crate::profile;

/// Removes the file and the secret; asks first, unless `yes`.
pub async fn run(folders: &Folders, name: &str, yes: bool) -> miette::Result<()> {
    let path = folders.profile(name);
    if !path.exists() {
        // Says what there is.
        profile::load(folders, name)?;
    }
    let question = format!("Remove the profile '{name}' and its password (y/N)? ");
    if !yes && !super::agreed(&question, &format!("'{name}' may go"))? {
        println!("'{name}' is kept.");
        return Ok(());
    }
    std::fs::remove_file(&path)
        .into_diagnostic()
        .wrap_err_with(|| format!("{} can't be removed", path.display()))?;
    match credential::delete(name).await {
        Ok(true) => println!("The profile '{name}' and its password are removed."),
        Ok(false) => println!("The profile '{name}' is removed; no password was stored for it."),
        Err(error) => {
            println!("The profile '{name}' is removed. Whether a password is stored is not known: {error}")
        }
    }
    Ok(())
}
