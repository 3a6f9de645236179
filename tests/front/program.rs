//! The front as a separate program: see `mod.rs`.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

#[path = "mod.rs"]
mod front;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use front::{Front, Options};

#[derive(Parser)]
struct Arguments {
    /// A PowerShell 7.
    #[arg(long)]
    pwsh: PathBuf,
    /// A session configuration file.
    #[arg(long)]
    configuration: Option<PathBuf>,
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, value_parser = humantime::parse_duration, default_value = "0s")]
    latency: Duration,
    /// Each response to Receive contains one message and takes this long.
    #[arg(long, value_parser = humantime::parse_duration)]
    trickle: Option<Duration>,
    /// Behave like the OMI server instead of WinRM.
    #[arg(long)]
    omi: bool,
    /// Serve HTTPS with a certificate generated at the start.
    #[arg(long)]
    tls: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let mut options = Options::new(arguments.pwsh);
    options.configuration = arguments.configuration;
    options.wsman.port = arguments.port;
    options.wsman.latency = arguments.latency;
    options.wsman.trickle = arguments.trickle;
    options.wsman.omi = arguments.omi;
    options.wsman.tls = arguments.tls;
    let front = Front::start(options).await?;
    let mut ready = serde_json::json!({
        "url": front.uri,
        "discovery": front.discovery,
        "user": front.user,
        "password": front.password,
    });
    if let Some(ca) = front.server.ca() {
        ready["ca"] = ca.to_string_lossy().into();
    }
    let mut out = std::io::stdout();
    writeln!(out, "{ready}")?;
    out.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
