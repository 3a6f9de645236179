//! Whether the endpoint still offers the commands that a PowerShell has exported: asked for by their names
//! alone when nothing else is to be done, written down beside the export, and compared by the next start
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

/// A shell that has just come has enough to ask.
const SETTLED: Duration = Duration::from_secs(10);
/// How often it is looked whether a PowerShell has exported commands.
const LOOK: Duration = Duration::from_secs(2);

/// Asks once in each session, for ever. Nothing is asked where nothing was exported.
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
            tokio::time::sleep(SETTLED).await;
            while !exports.has(&stem) {
                tokio::time::sleep(LOOK).await;
            }
            match ask(&current.mux, &profile).await {
                Ok(names) => exports.saw(&stem, &names).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        tokio::select! {
            result = asking => {
                if let Err(error) = result {
                    tracing::info!("the endpoint's commands are not compared: {error}");
                }
                if opened.changed().await.is_err() {
                    return;
                }
            }
            changed = opened.changed() => if changed.is_err() { return },
        }
    }
}

/// The names of the endpoint's commands, as a client of the agent's own; sorted, each once.
async fn ask(mux: &Mux, profile: &Profile) -> Result<Vec<String>, Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let asked = async {
        let connection = stream::connect(near, profile.limits);
        let (session, _events) = Session::open(connection, HostInfo::null()).await?;
        let names = loop {
            // One that gives way to a shell's command is asked again.
            if let Some(names) = list(&session).await? {
                break names;
            }
        };
        // A pool that is gone already has nothing to close.
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

/// `Get-Command | Select-Object Name`, while no shell runs anything. `None`: it was stopped.
async fn list(session: &Session) -> Result<Option<Vec<String>>, Error> {
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
