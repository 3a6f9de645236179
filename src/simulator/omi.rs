//! What the vendor's OMI server with PowerShell behind it does otherwise than WinRM, as far as it was seen:
//! a Receive with nothing to say is answered empty, an answer holds one fragment, and neither Signal nor
//! Delete is answered while no Receive is pending. A Delete is held back, though its client is long gone,
//! until Receives have taken all that the session's pipelines have to say; the session stays until then,
//! and a second Delete does not find it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::endpoint::Endpoint;
use super::shell::Shell;
use crate::transport::wsman::envelope::Response;
use crate::transport::wsman::fault::Fault;

/// How often it is looked whether all was taken, beside every change.
const LOOK: Duration = Duration::from_millis(20);

/// Stops what runs in a session and removes it when everything was taken.
pub async fn delete(endpoint: &Arc<Endpoint>, shell: Arc<Shell>) -> Result<Response, Fault> {
    if !shell.begin_deletion() {
        return Err(not_found());
    }
    let endpoint = endpoint.clone();
    // Goes on without its client.
    let deleting = tokio::spawn(async move {
        shell.pool.running().into_iter().for_each(|pipeline| shell.pool.stop(pipeline));
        until(&shell, || shell.is_receiving(Uuid::nil()) && shell.is_taken()).await;
        endpoint.shells().remove(&shell.made.id);
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
            () = tokio::time::sleep(LOOK) => {}
            () = shell.closed.cancelled() => return,
        }
    }
}

/// MI_RESULT_NOT_FOUND, as OMI says it.
fn not_found() -> Fault {
    Fault {
        subcode: Some("a:DestinationUnreachable".to_owned()),
        text: "The destination is not reachable: no such instance.".to_owned(),
        ..Fault::default()
    }
}
