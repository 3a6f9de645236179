//! `lyncsh show`: prints a profile's effective settings, without its secret.

use miette::IntoDiagnostic as _;
use serde_json::Value;

use crate::credential;
use crate::folders::Folders;
use crate::output;
use crate::profile::{self, Authentication, CredentialSource, Profile};

/// Keys of module kinds only.
const MODULE_KEYS: [&str; 2] = ["tenant", "organization"];

/// Prints the effective settings, including defaults.
pub async fn run(folders: &Folders, name: &str, json: bool) -> miette::Result<()> {
    let rows = match profile::connections(folders, name)?.alone() {
        Ok(profile) => one(profile, name).await,
        Err(several) => vec![
            ("file", several.path.display().to_string().into()),
            ("connections", several.names().into()),
            ("shell", several.shell.into()),
        ],
    };
    if json {
        let rows: serde_json::Map<String, Value> =
            rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        output::print_data(&format!("{}\n", serde_json::to_string(&rows).into_diagnostic()?));
        return Ok(());
    }
    for (key, value) in rows {
        output::message(&format!("{key:17}  {}\n", text(&value)), 19);
    }
    Ok(())
}

/// Formats a setting for display.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key} {}", text(value)));
            entries.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Describes the source of a password. `own`: the keyring entry that is used if the profile names none.
async fn described(source: &CredentialSource, own: &str) -> String {
    match source {
        CredentialSource::Command { line, .. } => format!("the command: {line}"),
        CredentialSource::Prompt => "asked for".to_owned(),
        CredentialSource::System => "the system's ticket or logon".to_owned(),
        CredentialSource::File(path) => format!("the file: {}", path.display()),
        CredentialSource::Keyring => stored(own, "the keyring").await,
        CredentialSource::Shared(entry) => stored(entry, &format!("the keyring entry '{entry}'")).await,
    }
}

/// Describes an entry of the keyring.
async fn stored(entry: &str, place: &str) -> String {
    match credential::is_stored(entry).await {
        Ok(true) => format!("stored in {place}"),
        Ok(false) => format!("not stored in {place}"),
        Err(error) => error.to_string(),
    }
}

async fn one(profile: Profile, name: &str) -> Vec<(&'static str, Value)> {
    let (kind, service) = (profile.kind, profile.service);
    let proxy_entry = profile.proxy_entry().unwrap_or_default();
    let proxy_password = match (&profile.proxy_credential, &profile.proxy_user) {
        (source @ CredentialSource::System, _) | (source, Some(_)) => {
            Some(described(source, &proxy_entry).await)
        }
        (_, None) => None,
    };
    let credential = match &profile.credential {
        _ if !credential::is_needed(&profile) && profile.certificate.is_some() => {
            "not needed: the key has no passphrase".to_owned()
        }
        _ if !credential::is_needed(&profile) => "not needed".to_owned(),
        source => described(source, name).await,
    };
    let is_token = profile.authentication == Authentication::Token;
    let limits = profile.limits;
    let long = |duration| humantime::format_duration(duration).to_string();
    let import = profile.import;
    let commands = if import.commands.is_empty() { vec!["*".to_owned()] } else { import.commands };
    let rows: Vec<(&'static str, Value)> = vec![
        ("file", profile.path.display().to_string().into()),
        ("kind", kind.to_string().into()),
        ("tags", profile.tags.into()),
        ("user", profile.user.into()),
        ("domain", profile.domain.into()),
        ("uri", profile.uri.map(String::from).into()),
        ("discovery", profile.discovery.map(String::from).into()),
        ("redirects", profile.redirects.iter().map(ToString::to_string).collect::<Vec<_>>().into()),
        ("authority", profile.authority.map(String::from).into()),
        ("proxy", profile.proxy.to_string().into()),
        ("proxy_user", profile.proxy_user.into()),
        ("proxy_password", proxy_password.into()),
        ("ca", profile.ca.map(|ca| ca.display().to_string()).into()),
        ("pin", profile.pin.map(|pin| pin.to_string()).into()),
        ("tls", profile.tls.name().into()),
        ("certificate", profile.certificate.map(|file| file.display().to_string()).into()),
        ("key", profile.key.map(|file| file.display().to_string()).into()),
        ("configuration", profile.configuration.into()),
        (
            "authentication",
            service.map_or(profile.authentication.name(), |service| service.sign_in.name()).into(),
        ),
        ("sign_in", is_token.then(|| profile.token_flow.name()).into()),
        ("client_id", profile.client_id.into()),
        ("scope", profile.scope.into()),
        ("tenant", profile.tenant.into()),
        ("organization", profile.organization.into()),
        ("service_principal", profile.service_principal.into()),
        ("delegate", profile.delegate.into()),
        ("password", credential.into()),
        ("shell", profile.shell.into()),
        ("transcript", profile.transcript.map(|folder| folder.display().to_string()).into()),
        ("session", format!("${}", import.session).into()),
        ("import", commands.into()),
        ("prefix", import.prefix.into()),
        ("allow_clobber", import.allow_clobber.into()),
        ("format_data", import.format_data.into()),
        ("cache", import.cache.into()),
        ("attach", import.attach.name().into()),
        ("keep", long(profile.keep).into()),
        ("keep_alive", profile.keep_alive.into()),
        ("max_runspaces", profile.max_runspaces.into()),
        ("idle_timeout", profile.idle_timeout.map(long).into()),
        (
            "timeouts",
            serde_json::json!({
                "connect": long(limits.connect),
                "discovery": long(limits.discovery),
                "token": long(limits.token),
                "open": long(limits.open),
                "operation": long(limits.operation),
                "close": long(limits.close),
            }),
        ),
    ];
    // A module kind uses only some of the keys: the module opens the session.
    let means = |key: &str| match service {
        None => !MODULE_KEYS.contains(&key),
        Some(_) => ["file", "password"].contains(&key) || kind.service_keys().contains(&key),
    };
    rows.into_iter().filter(|(key, _)| means(key)).collect()
}
