//! `lyncsh show`: what a profile comes to, without its secret.

use crate::credential;
use crate::folders::Folders;
use crate::profile::service::SignIn;
use crate::profile::{self, CredentialSource};

/// The effective settings, defaults filled in.
pub async fn run(folders: &Folders, name: &str) -> miette::Result<()> {
    let profile = match profile::connections(folders, name)?.alone() {
        Ok(profile) => profile,
        Err(several) => {
            println!("{:14}  {}", "file", several.path.display());
            println!("{:14}  {}", "connections", several.names().join(", "));
            println!("{:14}  {}", "shell", several.shell.as_deref().unwrap_or("-"));
            return Ok(());
        }
    };
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let (kind, service) = (profile.kind, profile.service);
    let credential = match &profile.credential {
        _ if service.is_some_and(|service| service.sign_in == SignIn::DeviceCode) => {
            "none is needed".to_owned()
        }
        CredentialSource::Command(command) => format!("the command: {command}"),
        CredentialSource::Prompt => "asked for".to_owned(),
        CredentialSource::Keyring => match credential::is_stored(name).await {
            Ok(true) => "stored in the keyring".to_owned(),
            Ok(false) => "the keyring, where none is stored".to_owned(),
            Err(error) => error.to_string(),
        },
    };
    let limits = profile.limits;
    let long = |duration| humantime::format_duration(duration).to_string();
    let import = profile.import;
    let listed = |list: &[String], none: &str| match list {
        [] => none.to_owned(),
        list => list.join(", "),
    };
    for (key, value) in [
        ("file", profile.path.display().to_string()),
        ("kind", profile.kind.to_string()),
        ("user", shown(profile.user)),
        ("domain", shown(profile.domain)),
        ("uri", shown(profile.uri.map(|uri| uri.to_string()))),
        ("discovery", shown(profile.discovery.map(|uri| uri.to_string()))),
        ("configuration", profile.configuration),
        (
            "authentication",
            service.map_or(profile.authentication.name(), |service| service.sign_in.name()).to_owned(),
        ),
        ("password", credential),
        ("session", format!("${}", import.session)),
        ("import", listed(&import.commands, "*")),
        ("prefix", shown(import.prefix)),
        ("allow_clobber", import.allow_clobber.to_string()),
        ("format_data", listed(&import.format_data, "-")),
        ("cache", import.cache.to_string()),
        ("keep", long(profile.keep)),
        ("keep_alive", profile.keep_alive.to_string()),
        ("max_runspaces", profile.max_runspaces.to_string()),
        ("idle_timeout", shown(profile.idle_timeout.map(long))),
        (
            "timeouts",
            format!(
                "connect {}, discovery {}, token {}, open {}, operation {}, close {}",
                long(limits.connect),
                long(limits.discovery),
                long(limits.token),
                long(limits.open),
                long(limits.operation),
                long(limits.close)
            ),
        ),
    ] {
        // The module has the session: the rest means nothing to it.
        if service.is_some() && !["file", "password"].contains(&key) && !kind.service_keys().contains(&key) {
            continue;
        }
        println!("{key:14}  {value}");
    }
    Ok(())
}
