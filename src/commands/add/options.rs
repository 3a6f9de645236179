//! A profile from the options of `lyncsh add`, and its password.

use std::ops::Range;
use std::path::Path;

use miette::{Context as _, IntoDiagnostic as _};

use crate::cli::Add;
use crate::commands::question::{absolute, wrong_file};
use crate::commands::usage::usage;
use crate::commands::{keyring, names};
use crate::credential::{self, CredentialError};
use crate::files::text;
use crate::folders::Folders;
use crate::profile::{self, CredentialSource, Mistake, Profile, ProfileError, Settings};
use crate::screen;

/// An existing profile, before the change.
pub struct Before {
    text: String,
    /// `None` if the profile is invalid.
    profile: Option<Profile>,
}

impl Before {
    /// Returns whether the profile uses its own entry of the keyring.
    pub fn has_own_entry(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.credential == CredentialSource::Keyring)
    }
}

/// Returns the source of the password to write; `None` keeps the existing one.
pub fn source(add: &Add, before: Option<&Before>) -> miette::Result<Option<CredentialSource>> {
    let shared =
        before.and_then(|before| before.profile.as_ref()).and_then(|profile| match &profile.credential {
            CredentialSource::Shared(entry) => Some(entry.clone()),
            _ => None,
        });
    Ok(if let Some(command) = &add.credential_command {
        Some(CredentialSource::command(command))
    } else if let Some(file) = &add.credential_file {
        Some(CredentialSource::File(absolute(file)?))
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
pub fn before(folders: &Folders, add: &Add, name: &str) -> miette::Result<Option<Before>> {
    profile::check_name(name, &[])?;
    let path = profile::path(folders, name);
    if !path.exists() {
        return Ok(None);
    }
    if add.force {
        names::check_own(folders, name, "change")?;
    } else {
        return Err(usage!(
            help = "choose another name, or change its settings with --force",
            "profile '{}' already exists: {}",
            name,
            path.display()
        ));
    }
    let text = text::read(&path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read the profile {}", path.display()))?;
    let profile = profile::parse(name, &path, &text).ok();
    Ok(Some(Before { text, profile }))
}

/// Returns the text of the changed profile and its effective settings.
pub fn written(
    folders: &Folders,
    add: &Add,
    name: &str,
    before: Option<&Before>,
    credential: Option<CredentialSource>,
) -> miette::Result<(String, Profile)> {
    let path = folders.profile(name);
    let text =
        settings(add, credential).apply(before.map_or("", |before| &before.text)).map_err(|error| {
            usage!(
                help = format!("correct it with `lyncsh edit {}`; nothing was written", name),
                "cannot change the profile {}: it is not TOML: {error}",
                path.display()
            )
        })?;
    let profile = profile::parse(name, &path, &text).map_err(|error| {
        let wrong = messages(&error);
        let help = match before {
            None => "see the options in `lyncsh add --help`; nothing was written".to_owned(),
            Some(_) => format!(
                "change the existing settings of '{name}' with `lyncsh edit {name}`; nothing was written"
            ),
        };
        usage!(help = help, "invalid profile: {}", wrong.join("; "))
    })?;
    Ok((text, profile))
}

/// Returns the mistakes in the value of a key of a new profile, which may still lack other keys.
pub fn mistakes(folders: &Folders, add: &Add, name: &str, key: &str) -> miette::Result<Vec<String>> {
    let text = settings(add, source(add, None)?).apply("").into_diagnostic()?;
    let Err(error) = profile::parse(name, &folders.profile(name), &text) else { return Ok(Vec::new()) };
    let of_key = |mistake: &&Mistake| key_at(&text, &mistake.span).as_deref() == Some(key);
    Ok(error.mistakes.iter().filter(of_key).map(|mistake| mistake.message.clone()).collect())
}

/// Returns the key in the line of a mistake; each key has its line.
pub fn key_at(text: &str, span: &Range<usize>) -> Option<String> {
    // A missing key is reported at the start.
    if span.is_empty() {
        return None;
    }
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    Some(text.get(start..)?.split_once('=')?.0.trim().to_owned())
}

/// Reports a password file that cannot be read yet. This is not an error: another program may write it later.
pub fn report_file(file: &Path) {
    if let Err(error) = credential::check_file(file) {
        screen::print_report(&wrong_file(error));
    }
}

/// Returns the mistakes of a profile that is not written yet, with line numbers only for included files.
fn messages(error: &ProfileError) -> Vec<String> {
    let of_file = |file: &ProfileError| {
        if file.is_included {
            return file.lines().into_iter().map(|line| format!("{}, {line}", file.path)).collect();
        }
        file.mistakes.iter().map(|mistake| mistake.message.clone()).collect::<Vec<_>>()
    };
    error.files().flat_map(of_file).collect()
}

/// Returns the settings in the options.
pub fn settings(add: &Add, credential: Option<CredentialSource>) -> Settings<'_> {
    Settings {
        include: None,
        kind: add.kind.as_deref(),
        user: add.user.as_deref(),
        domain: add.domain.as_deref(),
        uri: add.uri.as_deref(),
        discovery: add.discovery.as_deref(),
        configuration: add.configuration.as_deref(),
        authentication: add.authentication.as_deref(),
        credential,
    }
}

/// Returns whether to store a password. A stored password stays valid as long as the account is the same.
pub async fn needs_password(profile: &Profile, add: &Add, before: Option<&Before>) -> bool {
    let takes = credential::is_needed(profile);
    let was = before.and_then(|before| before.profile.as_ref());
    let stays = was.is_some_and(|was| was.credential == profile.credential && was.user == profile.user);
    let Some(entry) = profile.keyring_entry().filter(|_| takes) else { return false };
    let is_missing = match credential::is_stored(entry).await {
        Ok(is_stored) => !is_stored,
        // Without a usable keyring, the other settings can still be changed.
        Err(_) => !stays,
    };
    // A shared entry is not overwritten without need: other profiles use it.
    add.password_stdin || is_missing || (!stays && profile.credential == CredentialSource::Keyring)
}

/// Result of storing the password.
pub enum Stored {
    Yes,
    /// The keyring is not usable, and the user chose another source.
    Instead(CredentialSource),
}

/// Asks for the password and stores it. Checks the keyring first.
pub async fn store(profile: &Profile, add: &Add, before: Option<&Before>) -> miette::Result<Stored> {
    let asks = !add.password_stdin;
    let entry = profile.keyring_entry().unwrap_or(&profile.name);
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(entry).await {
        return keyring::instead(&profile.name, &reason, asks, before.is_some()).map(Stored::Instead);
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
            keyring::instead(&profile.name, &reason, asks, before.is_some()).map(Stored::Instead)
        }
        Err(error) => Err(error.into()),
    }
}
