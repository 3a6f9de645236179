//! Observed differences between the vendor's OMI server with PowerShell and WinRM: the response to a Receive without
//! data is empty, a response holds one fragment, and Signal and Delete get no response while no Receive is pending. A
//! Delete waits, even if its client disconnects, until Receives have fetched all output of the session's pipelines; the
//! session remains until then, and a second Delete does not find it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::endpoint::Endpoint;
use super::shell::Shell;
use crate::transport::wsman::envelope::Response;
use crate::transport::wsman::fault::Fault;

/// Interval of the check whether all output was fetched; every change causes a check as well.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Stops the pipelines of a session and removes it when all output was fetched.
pub async fn delete(endpoint: &Arc<Endpoint>, shell: Arc<Shell>) -> Result<Response, Fault> {
    if !shell.begin_deletion() {
        return Err(not_found());
    }
    let endpoint = endpoint.clone();
    // Continues even if the client disconnects.
    let deleting = tokio::spawn(async move {
        shell.pool.running().into_iter().for_each(|pipeline| shell.pool.stop(pipeline));
        until(&shell, || shell.is_receiving(Uuid::nil()) && shell.is_taken()).await;
        endpoint.shells().remove(&shell.parameters.id);
        shell.close();
    });
    match deleting.await {
        Ok(()) => Ok(Response::Deleted),
        Err(_) => Err(not_found()),
    }
}

/// Waits until a Receive is pending for a pipeline or for the pool.
pub async fn receiving(shell: &Shell, target: Uuid) {
    until(shell, || shell.is_receiving(target) || shell.is_receiving(Uuid::nil())).await;
}

async fn until(shell: &Shell, condition: impl Fn() -> bool) {
    loop {
        let mut changed = std::pin::pin!(shell.pool.changed());
        changed.as_mut().enable();
        if condition() {
            return;
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            () = shell.closed.cancelled() => return,
        }
    }
}

/// Returns OMI's fault for MI_RESULT_NOT_FOUND.
fn not_found() -> Fault {
    Fault {
        subcode: Some("a:DestinationUnreachable".to_owned()),
        text: "The destination is not reachable: no such instance.".to_owned(),
        ..Fault::default()
    }
}
