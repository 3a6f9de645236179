//! `lyncsh demo`: a shell on a built-in simulated endpoint.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use miette::{Context as _, IntoDiagnostic as _};
use serde::Serialize;

use super::connect::Context;
use super::shell;
use crate::cli::Demo;
use crate::files::replace::{New, replace};
use crate::folders::Folders;
use crate::output;
use crate::platform::ShutdownSignals;
use crate::profile;
use crate::screen::Stream;
use crate::simulator::engine::{TENANT_PASSWORD, World};
use crate::simulator::{DOMAIN, Options, PASSWORD, Server, USER, stream};

/// Settings of the demo's temporary profile.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'a str,
    user: &'a str,
    discovery: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<&'a Path>,
    credential: &'a str,
}

/// Starts the endpoint and, without `--serve` or `--stdio`, a shell on it.
pub async fn run(context: &Context, demo: &Demo) -> miette::Result<ExitCode> {
    let options = Options {
        port: demo.port,
        latency: demo.latency,
        cmdlets: demo.cmdlets,
        users: demo.users,
        tenants: demo.tenants,
        faults: demo.fault.clone(),
        idle_timeout: demo.idle_timeout,
        fixtures: demo.fixtures,
        hang: demo.hang,
        trickle: demo.trickle,
        tls: demo.tls,
        omi: demo.omi,
        authentication: demo.authentication,
        ..Options::default()
    };
    if demo.stdio {
        let streams = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
        let served = stream::serve(streams, World::new(&options), USER).await;
        return served.map(|()| ExitCode::SUCCESS).into_diagnostic();
    }
    let server =
        Server::start(options).await.into_diagnostic().wrap_err("cannot start the simulated endpoint")?;
    if demo.serve {
        return serve(&server, demo.tenants).await;
    }
    let folder =
        tempfile::tempdir().into_diagnostic().wrap_err("cannot create a folder for the demo's profile")?;
    let folders = Folders::find(Some(folder.path())).into_diagnostic()?;
    let written = Written {
        kind: "lync-online",
        user: USER,
        discovery: &server.discovery,
        ca: server.ca(),
        credential: "prompt",
    };
    let text = toml::to_string(&written).into_diagnostic()?;
    // The agent reads the profile as well.
    std::fs::create_dir_all(folders.profiles())
        .and_then(|()| replace(&folders.profile("demo"), text.as_bytes(), New::Private))
        .into_diagnostic()
        .wrap_err("cannot write the demo's profile")?;
    let profile = profile::load(&folders, "demo")?;
    if std::io::stdin().is_terminal() && Stream::Output.is_terminal() {
        crate::outln!(
            "A simulated Lync Online endpoint with the tenant {DOMAIN} runs on this machine until this \
             shell exits.\n\
             Try:  Get-CsTenant\n      \
             Get-CsOnlineUser | Select-Object DisplayName, SipAddress\n      \
             Set-CsUser kenmyer -EnterpriseVoiceEnabled $true\n      \
             Get-Command\n      exit"
        );
    }
    let context = Context { folders, ..context.clone() };
    let code = shell::run(&context, profile.into(), Some(PASSWORD.into()), Some(&demo.shell), &[], &[]).await;
    server.shutdown();
    code
}

/// Prints the address of the endpoint as one line of JSON, and serves until a signal.
async fn serve(server: &Server, tenants: usize) -> miette::Result<ExitCode> {
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let mut ready = serde_json::json!({
        "url": server.url,
        "discovery": server.discovery,
        "user": USER,
        "password": PASSWORD,
        "domain": DOMAIN,
    });
    if let Some(ca) = server.ca() {
        ready["ca"] = ca.to_string_lossy().into();
    }
    if tenants > 0 {
        ready["tenants"] = tenants.into();
        ready["tenant_password"] = TENANT_PASSWORD.into();
    }
    output::data(&format!("{ready}\n")).into_diagnostic()?;
    endings.next().await;
    server.shutdown();
    Ok(ExitCode::SUCCESS)
}
