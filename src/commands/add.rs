//! `lyncsh add`: writes a profile and stores its password.

use miette::{Context as _, IntoDiagnostic as _};

use super::keyring;
use super::usage::usage;
use crate::cli::Add;
use crate::credential::{self, CredentialError};
use crate::files::replace::{New, replace};
use crate::files::text;
use crate::folders::Folders;
use crate::profile::service::SignIn;
use crate::profile::{self, CredentialSource, Profile, Settings};

/// The profile as it was.
struct Before {
    text: String,
    /// `None`: it has mistakes.
    profile: Option<Profile>,
}

/// Checks, stores the password, writes the file; whatever fails leaves no profile behind.
pub async fn run(folders: &Folders, add: &Add, taken: &[&str]) -> miette::Result<()> {
    let path = folders.profile(&add.name);
    let before = before(folders, add)?;
    // One that exists may be named like a command of a later lyncsh.
    profile::check_name(&add.name, if before.is_some() { &[] } else { taken })?;
    let mut credential = match &add.credential_command {
        Some(command) => Some(CredentialSource::Command(command.clone())),
        None if add.prompt => Some(CredentialSource::Prompt),
        None if add.password_stdin || before.is_none() => Some(CredentialSource::Keyring),
        None => None,
    };
    let (text, profile) = loop {
        let (text, profile) = written(folders, add, before.as_ref(), credential.clone())?;
        if !needs_password(&profile, add, before.as_ref()).await {
            break (text, profile);
        }
        match store(&profile, add, before.as_ref()).await? {
            Stored::Yes => break (text, profile),
            // Checked again with it: what was there before may not go with it.
            Stored::Instead(other) => credential = Some(other),
        }
    };
    std::fs::create_dir_all(folders.profiles())
        .and_then(|()| replace(&path, text.as_bytes(), New::Private))
        .into_diagnostic()
        .wrap_err_with(|| format!("the profile can't be written to {}", path.display()))?;
    crate::outln!(
        "The profile '{0}' is written to {1}.\nOpen its shell with: lyncsh {0}",
        profile.name,
        path.display()
    );
    Ok(())
}

/// The profile that exists, where it may be changed.
fn before(folders: &Folders, add: &Add) -> miette::Result<Option<Before>> {
    profile::check_name(&add.name, &[])?;
    let path = folders.profile(&add.name);
    if !path.exists() {
        return Ok(None);
    }
    if !add.force {
        return Err(usage!(
            help = "choose another name, or change its settings with --force",
            "there is a profile '{}' already: {}",
            add.name,
            path.display()
        ));
    }
    let text = text::read(&path)
        .into_diagnostic()
        .wrap_err_with(|| format!("the profile {} can't be read", path.display()))?;
    let profile = profile::parse(&add.name, &path, &text).ok();
    Ok(Some(Before { text, profile }))
}

/// The text of the profile, and what it comes to.
fn written(
    folders: &Folders,
    add: &Add,
    before: Option<&Before>,
    credential: Option<CredentialSource>,
) -> miette::Result<(String, Profile)> {
    let path = folders.profile(&add.name);
    let settings = Settings {
        kind: add.kind.as_deref(),
        user: add.user.as_deref(),
        domain: add.domain.as_deref(),
        uri: add.uri.as_deref(),
        discovery: add.discovery.as_deref(),
        configuration: add.configuration.as_deref(),
        authentication: add.authentication.as_deref(),
        credential,
    };
    let text = settings.apply(before.map_or("", |before| &before.text)).map_err(|error| {
        usage!(
            help = format!("correct it with `lyncsh edit {}`; nothing was written", add.name),
            "the profile {} can't be changed: it is not TOML\n{error}",
            path.display()
        )
    })?;
    let profile = profile::parse(&add.name, &path, &text).map_err(|error| {
        // No file has these lines.
        let wrong: Vec<&str> = error.mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
        let help = match before {
            None => "`lyncsh add --help` lists what can be given; nothing was written".to_owned(),
            Some(_) => format!(
                "with the settings that '{0}' has already; `lyncsh edit {0}` changes those. Nothing was written",
                add.name
            ),
        };
        usage!(help = help, "this makes no profile: {}", wrong.join("; "))
    })?;
    Ok((text, profile))
}

/// Whether a password has to be stored: one that is stored stays as long as the account does.
async fn needs_password(profile: &Profile, add: &Add, before: Option<&Before>) -> bool {
    // A code in a browser needs no password here.
    let takes = profile.service.is_none_or(|service| service.sign_in != SignIn::DeviceCode);
    let was = before.and_then(|before| before.profile.as_ref());
    let stays = was.is_some_and(|was| was.credential == profile.credential && was.user == profile.user);
    if !takes || profile.credential != CredentialSource::Keyring {
        return false;
    }
    // Where the keyring can't be used, the rest can be changed all the same.
    add.password_stdin || !stays || credential::is_stored(&profile.name).await.is_ok_and(|stored| !stored)
}

/// What became of the password.
enum Stored {
    Yes,
    /// There is no keyring, and the user chose another source.
    Instead(CredentialSource),
}

/// Asks for the password and stores it, once the keyring is known to work.
async fn store(profile: &Profile, add: &Add, before: Option<&Before>) -> miette::Result<Stored> {
    let asks = !add.password_stdin;
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(&profile.name).await {
        return keyring::instead(&profile.name, &reason, asks).map(Stored::Instead);
    }
    let user = profile.user.as_deref().unwrap_or(&profile.name);
    let password = if asks {
        match credential::ask(&format!("Password for {user}: ")).await {
            Err(CredentialError::NoTerminal) => {
                let unchanged = if before.is_some() { "; the profile is unchanged" } else { "" };
                return Err(usage!(
                    help = "pipe it in with --password-stdin, name a command with --credential-command, or have it \
                            asked for each time with --prompt",
                    "a password is to be stored, and there is no terminal to ask for it in{unchanged}"
                ));
            }
            password => password?,
        }
    } else {
        credential::read_line()?
    };
    match credential::store(&profile.name, password).await {
        Ok(()) => Ok(Stored::Yes),
        Err(CredentialError::Keyring { reason }) => {
            keyring::instead(&profile.name, &reason, asks).map(Stored::Instead)
        }
        Err(error) => Err(error.into()),
    }
}
