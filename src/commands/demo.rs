//! `lyncsh demo`: the embedded endpoint.

use std::io::Write as _;
use std::process::ExitCode;

use miette::{Context as _, IntoDiagnostic as _};

use crate::cli::Demo;
use crate::platform::Endings;
use crate::simulator::{DOMAIN, Options, PASSWORD, Server, USER};

/// Runs the endpoint alone: one line of JSON says where it is, and it serves until it is ended.
pub async fn run(demo: &Demo) -> miette::Result<ExitCode> {
    let options = Options {
        port: demo.port,
        latency: demo.latency,
        cmdlets: demo.cmdlets,
        users: demo.users,
        idle_timeout: demo.idle_timeout,
        fixtures: demo.fixtures,
        hang: demo.hang,
        ..Options::default()
    };
    let mut endings = Endings::catch().into_diagnostic()?;
    let server = Server::start(options).await.into_diagnostic().wrap_err("the endpoint can't be started")?;
    let ready = serde_json::json!({
        "url": server.url,
        "discovery": server.discovery,
        "user": USER,
        "password": PASSWORD,
        "domain": DOMAIN,
    });
    let mut out = std::io::stdout();
    writeln!(out, "{ready}").and_then(|()| out.flush()).into_diagnostic()?;
    endings.next().await;
    server.shutdown();
    Ok(ExitCode::SUCCESS)
}
