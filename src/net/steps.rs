//! Steps of security contexts on threads that may block, and the headers of their tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderValue, InvalidHeaderValue};
use tokio::task::{JoinError, JoinHandle};

use super::refusals::Pass;
use crate::security::negotiation::Scheme;
use crate::security::{Context, ContextError, Step};

/// Time limit of a KDC request (MIT krb5 gives up after 27 s).
pub const KDC_TIMEOUT: Duration = Duration::from_secs(35);

/// The reason why a step has no result.
pub enum StepFailure {
    Context(ContextError),
    /// The step took too long.
    Late,
    /// The runtime ends.
    Ended(JoinError),
}

/// A context with the result of its step.
pub type Stepped = (Box<dyn Context>, Step);

/// Takes Kerberos' first step, in which the KDC checks the password. The result is recorded even after the time
/// limit, because the library continues.
pub async fn first_step(context: Box<dyn Context>, pass: Option<Pass>) -> Result<Stepped, StepFailure> {
    let judged = tokio::spawn(async move {
        let stepped = stepping(context, None).await;
        match (&stepped, pass) {
            (Ok((_, Ok(_))), Some(pass)) => pass.accepted(),
            (Ok((_, Err(error))), Some(pass)) if error.is_refused_credential() => pass.refused_by_kdc(),
            _ => {}
        }
        stepped
    });
    match tokio::time::timeout(KDC_TIMEOUT, judged).await {
        Ok(Ok(Ok((context, step)))) => Ok((context, step.map_err(StepFailure::Context)?)),
        Ok(Ok(Err(error)) | Err(error)) => Err(StepFailure::Ended(error)),
        Err(_) => Err(StepFailure::Late),
    }
}

/// Takes a later step.
pub async fn step(
    context: Box<dyn Context>,
    token: Option<Vec<u8>>,
    limit: Duration,
) -> Result<Stepped, StepFailure> {
    match tokio::time::timeout(limit, stepping(context, token)).await {
        Ok(Ok((context, step))) => Ok((context, step.map_err(StepFailure::Context)?)),
        Ok(Err(error)) => Err(StepFailure::Ended(error)),
        Err(_) => Err(StepFailure::Late),
    }
}

/// Takes a step of a context on a blocking thread: Kerberos queries a KDC.
fn stepping(
    mut context: Box<dyn Context>,
    token: Option<Vec<u8>>,
) -> JoinHandle<(Box<dyn Context>, Result<Step, ContextError>)> {
    tokio::task::spawn_blocking(move || {
        let step = context.step(token.as_deref());
        (context, step)
    })
}

/// Returns the value of an `Authorization` or `Proxy-Authorization` header with a token.
pub fn token_header(scheme: Scheme, token: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    let text = format!("{} {}", scheme.name(), STANDARD.encode(token));
    let mut header = HeaderValue::try_from(text)?;
    header.set_sensitive(true);
    Ok(header)
}
