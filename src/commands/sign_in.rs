//! Sign-in of the user with a browser.

use tokio::sync::mpsc;

use crate::agent::resolver::EndpointResolver;
use crate::desktop::browser;
use crate::folders::Folders;
use crate::profile::Profile;
use crate::step::Step;

/// Returns the line that invites the user to sign in. Opens the page if lyncsh waits for the browser of this machine.
pub fn invite(profile: &Profile, uri: &str, code: Option<&str>) -> String {
    let name = &profile.name;
    match code {
        Some(code) => format!("To sign in for '{name}', open {uri} in a browser and enter the code {code}"),
        None if browser::open(uri) => {
            format!(
                "Sign in for '{name}' in the browser. If it does not open, open this page on this machine:\n{uri}"
            )
        }
        None => format!("To sign in for '{name}', open this page in a browser on this machine:\n{uri}"),
    }
}

/// Lets the user sign in, and replaces the stored refresh token. `opens`: also open the page for a code in the browser.
/// Returns the reason if the refresh token could not be stored.
pub async fn run(folders: &Folders, profile: Profile, opens: bool) -> miette::Result<Option<String>> {
    let mut access = EndpointResolver::new(folders, profile, None);
    access.set_interactive(true);
    access.replace_sign_in();
    let profile = access.profile.clone();
    let (report, mut steps) = mpsc::unbounded_channel();
    let inviting = async {
        while let Some(step) = steps.recv().await {
            if let Step::SignIn { uri, code } = step {
                crate::errln!("{}", invite(&profile, &uri, code.as_deref()));
                if opens && code.is_some() && !browser::open(&uri) {
                    crate::errln!("lyncsh: cannot start the browser");
                }
            }
        }
    };
    let resolving = async move {
        let endpoint = access.endpoint(&report).await;
        endpoint.map(|_| access)
    };
    let (resolved, ()) = tokio::join!(resolving, inviting);
    let access = resolved.map_err(|error| error.failure())?;
    Ok(access.unstored().await)
}
