//! `lyncsh attach NAME --own`: what a PowerShell that can't have the agent's session, or is not to have
//! it, needs for one of its own; and the guard of that session.
//!
//! The PowerShell has both ends of this process's standard streams, and nobody else has them. One line
//! of JSON goes out, with the credential, and no second one. One line comes in when the session is
//! there: the runspace pool's id, which is the WSMan shell's, the URI, and the password where the
//! PowerShell has asked for it, as Base64 of UTF-8. After that the end of the input is the
//! PowerShell's end, whatever that was, and the session is deleted by its id.

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
use crate::net::Trust;
use crate::platform::{self, ShutdownSignals};
use crate::profile::{self, Attach, Authentication, Profile};
use crate::shell::pwsh::output_gate;
use crate::{credential, discovery, output};

/// What the PowerShell reports of its session.
struct Made {
    shell: Uuid,
    uri: Url,
    secret: Option<SecretString>,
}

/// Hands over the credential, and guards the session that is made with it.
pub async fn run(context: &Context, name: &str) -> miette::Result<ExitCode> {
    if output::is_terminal() {
        return Err(miette::miette!("a password is handed to a PowerShell that asks, and to nobody else"));
    }
    // Inside of a shell that a launcher has started, the launcher speaks first.
    output_gate::wait(name).await;
    let profile = profile::load(&context.folders, name)?;
    if profile.service.is_some() {
        return Err(miette::miette!("the session of '{name}' is its module's own"));
    }
    // The pipe is in the place of the terminal: the PowerShell asks.
    let secret =
        if credential::needs_terminal(&profile) { None } else { Some(credential::fetch(&profile).await?) };
    send_credential(&profile, secret.as_ref()).await?;
    if let Err(error) = keep(context, profile, secret).await {
        // Nobody reads the output any more.
        crate::tell!("lyncsh: '{name}': {error:#}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Stays with the PowerShell until it has gone.
async fn keep(context: &Context, profile: Profile, secret: Option<SecretString>) -> miette::Result<()> {
    platform::leave_terminal().into_diagnostic()?;
    platform::end_output().into_diagnostic()?;
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let mut lines = lines();
    let Some(line) = lines.recv().await else { return Ok(()) };
    let made = read(&line).wrap_err("the PowerShell reports no session")?;
    let guard = guard(context, profile, secret, made).await?;
    tokio::select! {
        () = async { while lines.recv().await.is_some() {} } => {}
        _ = endings.next_but_interrupt() => {}
    }
    guard.remove().await.into_diagnostic().wrap_err("the session may still be on the server")
}

/// What the module passes to `New-PSSession`, or `New-CsOnlineSession`.
#[derive(serde::Serialize)]
struct SessionArguments<'a> {
    uri: Option<Url>,
    user: Option<&'a str>,
    domain: Option<&'a str>,
    configuration: &'a str,
    authentication: &'a str,
    secret: Option<&'a str>,
}

/// One line with all that `New-PSSession`, or `New-CsOnlineSession`, is given.
async fn send_credential(profile: &Profile, secret: Option<&SecretString>) -> miette::Result<()> {
    let (report, _) = mpsc::unbounded_channel();
    let uri = match profile.import.attach {
        // It finds the endpoint by itself.
        Attach::Connector => profile.uri.clone(),
        _ if profile.authentication == Authentication::Token => {
            return Err(miette::miette!(
                help = "use the console, or a PowerShell 7: set shell in the profile",
                "New-PSSession can't send the token that '{}' has for its endpoint",
                profile.name
            ));
        }
        _ => Some(discovery::endpoint(profile, &Trust::default(), &report).await?),
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

/// The lines of standard input, until its end.
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

fn read(line: &str) -> miette::Result<Made> {
    // .NET writes a mark first where the console's encoding is UTF-8.
    let mut words = line.trim_start_matches('\u{feff}').split_whitespace();
    let (shell, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let secret = words.next().map(decode).transpose()?;
    Ok(Made { shell: shell.parse().into_diagnostic()?, uri: uri.parse().into_diagnostic()?, secret })
}

fn decode(text: &str) -> miette::Result<SecretString> {
    let bytes = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(text).into_diagnostic()?);
    let text = std::str::from_utf8(&bytes).into_diagnostic()?;
    Ok(SecretString::from(text))
}

/// Answers for the session from here on.
async fn guard(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    made: Made,
) -> miette::Result<Guard> {
    let (report, _) = mpsc::unbounded_channel();
    let mut access = EndpointResolver::new(profile.clone(), made.secret.or(secret));
    let endpoint = access.at(made.uri, profile.configuration.clone(), &report).await.into_diagnostic()?;
    let journal = Journal::of(&context.folders);
    let mut guard = Guard::new(&journal, &profile, endpoint, made.shell).into_diagnostic()?;
    guard.created();
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_with_and_without_a_password_and_nothing_else_is() {
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
