//! Checks whether the endpoint still offers the commands that a PowerShell session has exported. Lists their
//! names while the session is idle and stores the list beside the export; the next start compares it
//! (`templates/powershell/cached.ps1`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::mux::Mux;
use super::shared::Opened;
use crate::exports::Exports;
use crate::folders::Folders;
use crate::profile::Profile;
use crate::psrp::client::PipelineEvent;
use crate::psrp::command_metadata;
use crate::psrp::host::HostInfo;
use crate::psrp::record::PipelineState;
use crate::transport::session::Session;
use crate::transport::{Error, stream};

/// Delay after a session opens, so that the check does not delay the first requests of a new shell.
const CHECK_DELAY: Duration = Duration::from_secs(10);
/// Interval for checking whether a PowerShell process has exported commands.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Lists the commands once in each session, if commands were exported. Returns when the sender of `opened` is dropped.
pub async fn watch(mut opened: watch::Receiver<Option<Opened>>, profile: Arc<Profile>, folders: Folders) {
    loop {
        let current = match opened.wait_for(Option::is_some).await {
            Ok(current) => current.clone(),
            Err(_) => return,
        };
        let Some(current) = current else { continue };
        let asking = async {
            let exports = Exports::of(&folders, &profile.name);
            let stem = exports.stem(&profile, &current.endpoint.uri);
            tokio::time::sleep(CHECK_DELAY).await;
            while !exports.has(&stem) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            match command_names(&current.mux, &profile).await {
                Ok(names) => exports.record_commands(&stem, &names).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        tokio::select! {
            result = asking => {
                if let Err(error) = result {
                    tracing::info!("cannot compare the endpoint's commands: {error}");
                }
                if opened.changed().await.is_err() {
                    return;
                }
            }
            changed = opened.changed() => if changed.is_err() { return },
        }
    }
}

/// Returns the names of the endpoint's commands, sorted and unique, through a client of the agent itself.
async fn command_names(mux: &Mux, profile: &Profile) -> Result<Vec<String>, Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let asked = async {
        let connection = stream::connect(near, profile.limits);
        let (session, _events) = Session::attach(connection, HostInfo::null()).await?;
        let names = loop {
            // Repeated if a shell's pipeline has preempted it.
            if let Some(names) = try_list(&session).await? {
                break names;
            }
        };
        // Closing fails if the pool is gone already.
        let _ = session.close().await;
        Ok(names)
    };
    let mut attached = std::pin::pin!(mux.attach_own(far));
    let mut asked = std::pin::pin!(asked);
    let mut names: Vec<String> = tokio::select! {
        result = &mut asked => result?,
        () = &mut attached => asked.await?,
    };
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Runs `Get-Command | Select-Object Name` in the background. `None`: a shell's pipeline stopped it.
async fn try_list(session: &Session) -> Result<Option<Vec<String>>, Error> {
    let mut running = session.invoke(&command_metadata::names().in_background()).await?;
    let mut names = Vec::new();
    while let Some(event) = running.next().await {
        match event? {
            PipelineEvent::Output(value) => names.extend(command_metadata::name(&value)),
            PipelineEvent::State(PipelineState::Completed, _) => return Ok(Some(names)),
            PipelineEvent::State(PipelineState::Stopped, _) => return Ok(None),
            _ => {}
        }
    }
    Err(Error::Ended("the endpoint did not list its commands".to_owned()))
}
