//! `lyncsh add`: writes a profile and stores its password.

use std::io::Write as _;

use clap::Args;
use miette::{Context as _, IntoDiagnostic as _};
use serde::Serialize;

use crate::credential::{self, CredentialError};
use crate::folders::Folders;
use crate::profile::service::SignIn;
use crate::profile::{self, CredentialSource};

/// What a profile is made of.
#[derive(Args, Debug)]
pub struct Add {
    /// The new profile's name
    #[arg(value_name = "PROFILE")]
    pub name: String,
    /// lync-online, skype-server, exchange-server, wsman, teams or exchange-online
    #[arg(long)]
    pub kind: String,
    /// Who signs in, as name@domain
    #[arg(long)]
    pub user: Option<String>,
    /// The domain to administer, where it is not the user's
    #[arg(long)]
    pub domain: Option<String>,
    /// The endpoint's connection URI
    #[arg(long)]
    pub uri: Option<String>,
    /// Ask this address instead of lyncdiscover.DOMAIN
    #[arg(long, value_name = "URI")]
    pub discovery: Option<String>,
    /// The configuration, by its name or as a resource URI
    #[arg(long)]
    pub configuration: Option<String>,
    /// basic or token
    #[arg(long)]
    pub authentication: Option<String>,
    /// Take the password from this command's first line of output
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["prompt", "password_stdin"])]
    pub credential_command: Option<String>,
    /// Store no password, ask for it each time
    #[arg(long, conflicts_with = "password_stdin")]
    pub prompt: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Write over a profile that is there
    #[arg(long)]
    pub force: bool,
}

/// The file, key by key.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discovery: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: &'a Option<String>,
    credential: CredentialSource,
}

/// Checks, stores the password, writes the file; whatever fails leaves no profile behind.
pub async fn run(folders: &Folders, add: &Add, taken: &[&str]) -> miette::Result<()> {
    profile::check_name(&add.name, taken)?;
    let path = folders.profile(&add.name);
    if path.exists() && !add.force {
        return Err(miette::miette!(
            help = "choose another name, or write over it with --force",
            "there is a profile '{}' already: {}",
            add.name,
            path.display()
        ));
    }
    let credential = match &add.credential_command {
        Some(command) => CredentialSource::Command(command.clone()),
        None if add.prompt => CredentialSource::Prompt,
        None => CredentialSource::Keyring,
    };
    let Add { kind, user, domain, uri, discovery, configuration, authentication, .. } = add;
    let written = Written { kind, user, domain, uri, discovery, configuration, authentication, credential };
    let text = toml::to_string(&written).into_diagnostic()?;
    let profile = profile::parse(&add.name, &path, &text).map_err(|error| {
        // No file has these lines.
        let wrong: Vec<&str> = error.mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
        miette::miette!(
            help = "`lyncsh add --help` lists what can be given; nothing was written",
            "this makes no profile: {}",
            wrong.join("; ")
        )
    })?;
    // A code in a browser needs no password here.
    let needs = profile.service.is_none_or(|service| service.sign_in != SignIn::DeviceCode);
    if needs && profile.credential == CredentialSource::Keyring {
        let user = profile.user.as_deref().unwrap_or(&add.name);
        let password = match add.password_stdin {
            true => credential::read_line()?,
            false => match credential::ask(&format!("Password for {user}: ")).await {
                Err(CredentialError::NoTerminal) => {
                    return Err(miette::miette!(
                        help = "pipe it in with --password-stdin, name a command with --credential-command, or have it \
                                asked for each time with --prompt",
                        "a password is to be stored, and there is no terminal to ask for it in"
                    ));
                }
                password => password?,
            },
        };
        credential::store(&add.name, password).await.map_err(|error| match error {
            CredentialError::Keyring { reason } => miette::miette!(
                help = "on Linux a Secret Service (gnome-keyring, KWallet, KeePassXC) must run in this D-Bus session and \
                        be unlocked. Without one: name a command with --credential-command, or have the password asked for \
                        each time with --prompt",
                "the password can't be stored, because the keyring can't be used: {reason}"
            ),
            error => error.into(),
        })?;
    }
    let folder = folders.profiles();
    std::fs::create_dir_all(&folder)
        .and_then(|()| tempfile::NamedTempFile::new_in(&folder))
        .and_then(|mut beside| {
            beside.write_all(text.as_bytes())?;
            beside.persist(&path).map_err(|error| error.error)
        })
        .into_diagnostic()
        .wrap_err_with(|| format!("the profile can't be written to {}", path.display()))?;
    crate::outln!(
        "The profile '{0}' is written to {1}.\nOpen its shell with: lyncsh {0}",
        add.name,
        path.display()
    );
    Ok(())
}
