//! `lyncsh add`: writes a profile and stores its password.

use miette::{Context as _, IntoDiagnostic as _};

use super::usage::usage;
use super::{keyring, names};
use crate::cli::Add;
use crate::credential::{self, CredentialError};
use crate::files::replace::{New, replace};
use crate::files::text;
use crate::folders::Folders;
use crate::profile::{self, CredentialSource, Profile, Settings};

/// An existing profile, before the change.
struct Before {
    text: String,
    /// `None` if the profile is invalid.
    profile: Option<Profile>,
}

/// Checks the settings, stores the password and writes the profile. A failure leaves no new profile.
pub async fn run(folders: &Folders, add: &Add, taken: &[&str]) -> miette::Result<()> {
    let path = folders.profile(&add.name);
    let before = before(folders, add)?;
    // An existing profile may have the name of a command that a later version added.
    profile::check_name(&add.name, if before.is_some() { &[] } else { taken })?;
    let mut credential = source(add, before.as_ref())?;
    let (text, profile) = loop {
        let (text, profile) = written(folders, add, before.as_ref(), credential.clone())?;
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
    crate::outln!(
        "The profile '{0}' is written to {1}.\nOpen its shell with: lyncsh {0}",
        profile.name,
        path.display()
    );
    Ok(())
}

/// Returns the source of the password to write; `None` keeps the existing one.
fn source(add: &Add, before: Option<&Before>) -> miette::Result<Option<CredentialSource>> {
    let shared =
        before.and_then(|before| before.profile.as_ref()).and_then(|profile| match &profile.credential {
            CredentialSource::Shared(entry) => Some(entry.clone()),
            _ => None,
        });
    Ok(if let Some(command) = &add.credential_command {
        Some(CredentialSource::Command(command.clone()))
    } else if let Some(file) = &add.credential_file {
        // A relative path in a profile starts at the profile's folder.
        Some(CredentialSource::File(std::path::absolute(file).into_diagnostic()?))
    } else if let Some(entry) = add.keyring.clone().or(shared.filter(|_| add.password_stdin)) {
        Some(CredentialSource::Shared(entry))
    } else if add.prompt {
        Some(CredentialSource::Prompt)
    } else if add.system {
        Some(CredentialSource::System)
    } else {
        (add.password_stdin || before.is_none()).then_some(CredentialSource::Keyring)
    })
}

/// Reads the existing profile; fails without `--force`.
fn before(folders: &Folders, add: &Add) -> miette::Result<Option<Before>> {
    profile::check_name(&add.name, &[])?;
    let path = profile::path(folders, &add.name);
    if !path.exists() {
        return Ok(None);
    }
    if add.force {
        names::check_own(folders, &add.name, "change")?;
    } else {
        return Err(usage!(
            help = "choose another name, or change its settings with --force",
            "profile '{}' already exists: {}",
            add.name,
            path.display()
        ));
    }
    let text = text::read(&path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read the profile {}", path.display()))?;
    let profile = profile::parse(&add.name, &path, &text).ok();
    Ok(Some(Before { text, profile }))
}

/// Returns the text of the changed profile and its effective settings.
fn written(
    folders: &Folders,
    add: &Add,
    before: Option<&Before>,
    credential: Option<CredentialSource>,
) -> miette::Result<(String, Profile)> {
    let path = folders.profile(&add.name);
    let settings = Settings {
        include: None,
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
            "cannot change the profile {}: it is not TOML\n{error}",
            path.display()
        )
    })?;
    let profile = profile::parse(&add.name, &path, &text).map_err(|error| {
        // The lines of these mistakes are not in a file yet.
        let wrong: Vec<&str> = error.mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
        let help = match before {
            None => "see the options in `lyncsh add --help`; nothing was written".to_owned(),
            Some(_) => format!(
                "change the existing settings of '{0}' with `lyncsh edit {0}`; nothing was written",
                add.name
            ),
        };
        usage!(help = help, "invalid profile: {}", wrong.join("; "))
    })?;
    Ok((text, profile))
}

/// Returns whether to store a password. A stored password stays valid as long as the account is the same.
async fn needs_password(profile: &Profile, add: &Add, before: Option<&Before>) -> bool {
    let takes = credential::is_needed(profile);
    let was = before.and_then(|before| before.profile.as_ref());
    let stays = was.is_some_and(|was| was.credential == profile.credential && was.user == profile.user);
    let Some(entry) = profile.keyring_entry().filter(|_| takes) else { return false };
    // Without a usable keyring, the other settings can still be changed.
    let is_missing = credential::is_stored(entry).await.is_ok_and(|stored| !stored);
    // Other profiles use a shared entry.
    add.password_stdin || is_missing || (!stays && profile.credential == CredentialSource::Keyring)
}

/// Result of storing the password.
enum Stored {
    Yes,
    /// The keyring is not usable, and the user chose another source.
    Instead(CredentialSource),
}

/// Asks for the password and stores it. Checks the keyring first.
async fn store(profile: &Profile, add: &Add, before: Option<&Before>) -> miette::Result<Stored> {
    let asks = !add.password_stdin;
    let entry = profile.keyring_entry().unwrap_or(&profile.name);
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(entry).await {
        return keyring::instead(&profile.name, &reason, asks).map(Stored::Instead);
    }
    let password = if asks {
        match credential::ask(&format!("{}: ", credential::question(profile))).await {
            Err(CredentialError::NoTerminal) => {
                let unchanged = if before.is_some() { "; the profile is unchanged" } else { "" };
                return Err(usage!(
                    help = "pass --password-stdin, --credential-command COMMAND, --credential-file FILE, --prompt, or --system",
                    "cannot prompt for the password to store: no terminal{unchanged}"
                ));
            }
            password => password?,
        }
    } else {
        credential::read_line()?
    };
    match credential::store(entry, password).await {
        Ok(()) => Ok(Stored::Yes),
        Err(CredentialError::Keyring { reason }) => {
            keyring::instead(&profile.name, &reason, asks).map(Stored::Instead)
        }
        Err(error) => Err(error.into()),
    }
}
