//! Ends a command whose output is not read. A write to a full pipe cannot be cancelled, and keeps its thread from
//! handling Ctrl-C and the time limit. The agent removes the session when the process has ended.

use std::time::Duration;

use miette::IntoDiagnostic as _;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::failure::show;
use crate::commands::exit_code;
use crate::commands::session::{StopCause, StopConditions};
use crate::credential;
use crate::platform::Ending;
use crate::screen::writing;
use crate::shell::console::exec::ErrorFormat;

/// Time after which a write counts as blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);
/// Interval between checks for a blocked write.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Time limit for the last message: standard error may be blocked too.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(200);

/// Watches the output until the guard is dropped. After a second Ctrl-C, another signal or the deadline, the
/// process exits if a write is blocked.
pub fn watch(deadline: Option<Instant>, errors: ErrorFormat) -> miette::Result<DropGuard> {
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    // All threads of the program's runtime may be blocked.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let watching = move || {
        runtime.block_on(async {
            tokio::select! {
                () = ended.cancelled() => {}
                over = blocked(deadline) => match over {
                    Ok(over) => exit(over, errors).await,
                    Err(error) => tracing::warn!("cannot watch the output: {error}"),
                },
            }
        });
    };
    std::thread::Builder::new().name("output".to_owned()).spawn(watching).into_diagnostic()?;
    Ok(guard)
}

/// Waits until the command must end, and then until a write is blocked.
async fn blocked(deadline: Option<Instant>) -> miette::Result<StopCause> {
    let mut endings = StopConditions::of_process(deadline)?;
    let mut was_interrupted = false;
    let over = loop {
        match endings.next(false).await {
            StopCause::Signal(Ending::Interrupt) if !was_interrupted => was_interrupted = true,
            over => break over,
        }
    };
    let mut last = (writing(), Instant::now());
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let now = writing();
        if now.is_none() || now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() >= BLOCKED_AFTER {
            return Ok(over);
        }
    }
}

async fn exit(over: StopCause, errors: ErrorFormat) {
    credential::oauth::settle().await;
    let code = match over.result(true) {
        Ok(code) => code,
        Err(report) => {
            let code = exit_code(&report).code();
            let reporting = tokio::task::spawn_blocking(move || show(&report, errors));
            let _ = tokio::time::timeout(MESSAGE_TIMEOUT, reporting).await;
            code
        }
    };
    std::process::exit(i32::from(code));
}
