//! `lyncsh attach NAME --own`: sends the settings of a standalone session to a PowerShell that cannot or must
//! not use the agent's session, and guards that session.
//!
//! Only the PowerShell has the other ends of this process's standard streams. This process writes one line of
//! JSON with the credential. When the session is open, the PowerShell writes one line: the runspace pool's
//! id, which is the WSMan shell's id, the URI, and the password as Base64 of UTF-8 if the PowerShell asked
//! for it. This process answers with [`GUARDED`]; without it, the PowerShell removes the session. The end of the
//! input then means that the PowerShell ended, and the session is deleted by its id.

use std::io::BufRead as _;
use std::process::ExitCode;

use base64::Engine as _;
use miette::{Context as _, IntoDiagnostic as _};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use url::Url;
use uuid::Uuid;

use super::connect::Context;
use crate::agent::guard::Guard;
use crate::agent::journal::Journal;
use crate::agent::resolver::EndpointResolver;
use crate::net::{Proxies, Trust};
use crate::platform::{self, ShutdownSignals};
use crate::profile::{self, Attach, Authentication, Profile};
use crate::shell::pwsh::output_gate;
use crate::{credential, discovery, output};

/// The answer when the session is guarded.
const GUARDED: &str = "guarded\n";

/// The PowerShell's report of its session.
struct SessionReport {
    shell: Uuid,
    uri: Url,
    secret: Option<SecretString>,
}

/// Sends the credential, and guards the session that the PowerShell opens.
pub async fn run(context: &Context, name: &str) -> miette::Result<ExitCode> {
    if output::is_terminal() {
        return Err(miette::miette!("refusing to print a password to a terminal"));
    }
    // Inside a shell that a launcher started, the launcher writes to the terminal first.
    output_gate::wait(name).await;
    let profile = profile::load(&context.folders, name)?;
    if profile.service.is_some() {
        return Err(miette::miette!(
            "'{name}' cannot have a standalone session: its module opens the session"
        ));
    }
    // Without the journal, the session of a killed guard would stay.
    Journal::of(&context.folders)
        .check()
        .into_diagnostic()
        .wrap_err("cannot write the session journal; no session was created")?;
    let secret =
        if credential::needs_terminal(&profile) { None } else { Some(credential::fetch(&profile).await?) };
    send_credential(context, &profile, secret.as_ref()).await?;
    if let Err(error) = keep(context, profile, secret).await {
        // Standard output is closed, or the PowerShell expects only one word there.
        crate::errln!("lyncsh: '{name}': {error:#}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Guards the session until the PowerShell ends.
async fn keep(context: &Context, profile: Profile, secret: Option<SecretString>) -> miette::Result<()> {
    platform::leave_terminal().into_diagnostic()?;
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let mut lines = lines();
    let Some(line) = lines.recv().await else { return Ok(()) };
    let made = read(&line).wrap_err("expected the id and URI of a session from the PowerShell")?;
    let guard = guard(context, profile, secret, made).await?;
    if let Err(error) = output::data(GUARDED) {
        // A PowerShell that has ended also closes standard input. The module of an earlier version does not wait.
        tracing::debug!("the PowerShell does not read the confirmation: {error}");
    }
    platform::end_output().into_diagnostic()?;
    tokio::select! {
        () = async { while lines.recv().await.is_some() {} } => {}
        _ = endings.next_but_interrupt() => {}
    }
    guard.remove().await.into_diagnostic().wrap_err("the session may still be on the server")
}

/// Parameters that the module passes to `New-PSSession` or `New-CsOnlineSession`.
#[derive(serde::Serialize)]
struct SessionArguments<'a> {
    uri: Option<Url>,
    user: Option<&'a str>,
    domain: Option<&'a str>,
    configuration: &'a str,
    authentication: &'a str,
    secret: Option<&'a str>,
}

/// Writes one line with the parameters of `New-PSSession` or `New-CsOnlineSession`.
async fn send_credential(
    context: &Context,
    profile: &Profile,
    secret: Option<&SecretString>,
) -> miette::Result<()> {
    let (report, _) = mpsc::unbounded_channel();
    let uri = match profile.import.attach {
        // New-CsOnlineSession discovers the endpoint itself.
        Attach::Connector => profile.uri.clone(),
        _ if profile.authentication == Authentication::Token => {
            return Err(miette::miette!(
                help = "set `shell` in the profile to the console or to PowerShell 7",
                "cannot open a standalone session for '{}': New-PSSession does not send tokens",
                profile.name
            ));
        }
        _ => {
            // The profile has no proxy: `attach` excludes it.
            let (trust, proxies) = (Trust::default(), Proxies::default());
            let found = discovery::endpoint(&context.folders, profile, &trust, &proxies, &report);
            Some(found.await?.uri)
        }
    };
    let line = output::secret_line(&SessionArguments {
        uri,
        user: profile.user.as_deref(),
        domain: profile.domain.as_deref(),
        configuration: &profile.configuration,
        authentication: profile.authentication.name(),
        secret: secret.map(ExposeSecret::expose_secret),
    })
    .into_diagnostic()?;
    output::data(&line).into_diagnostic()
}

/// Returns the lines of standard input.
fn lines() -> mpsc::Receiver<Zeroizing<String>> {
    let (sending, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        while let Some(Ok(line)) = std::io::stdin().lock().lines().next() {
            if sending.blocking_send(Zeroizing::new(line)).is_err() {
                return;
            }
        }
    });
    lines
}

fn read(line: &str) -> miette::Result<SessionReport> {
    // .NET writes a byte order mark first if the console's encoding is UTF-8.
    let mut words = line.trim_start_matches('\u{feff}').split_whitespace();
    let (shell, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let secret = words.next().map(decode).transpose()?;
    Ok(SessionReport { shell: shell.parse().into_diagnostic()?, uri: uri.parse().into_diagnostic()?, secret })
}

fn decode(text: &str) -> miette::Result<SecretString> {
    let bytes = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(text).into_diagnostic()?);
    let text = std::str::from_utf8(&bytes).into_diagnostic()?;
    Ok(SecretString::from(text))
}

/// Creates the guard of the session.
async fn guard(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    made: SessionReport,
) -> miette::Result<Guard> {
    let (report, _) = mpsc::unbounded_channel();
    let mut access = EndpointResolver::new(&context.folders, profile.clone(), made.secret.or(secret));
    let endpoint = access.at(made.uri, profile.configuration.clone(), &report).await.into_diagnostic()?;
    let journal = Journal::of(&context.folders);
    let mut guard = Guard::new(&journal, &profile, endpoint, made.shell).into_diagnostic()?;
    guard.record_created();
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_parsed_with_or_without_a_password() {
        let id = "b1a7a1bb-1111-4222-8333-444455556666";
        let made = read(&format!("\u{feff}{id} https://example.com/p UMOk4oKs")).unwrap();
        assert_eq!(made.shell.to_string(), id);
        assert_eq!(made.uri.as_str(), "https://example.com/p");
        assert_eq!(made.secret.unwrap().expose_secret(), "Pä€");
        assert!(read(&format!("{id} https://example.com/p")).unwrap().secret.is_none());
        for wrong in ["", "x https://example.com", id, &format!("{id} https://example.com/p !")] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
