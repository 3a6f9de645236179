//! The tickets of a password, shared by the connections to one endpoint.

#[cfg(unix)]
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(unix)]
use std::time::{Duration, Instant};

#[cfg(unix)]
use super::ContextError;
#[cfg(unix)]
use crate::platform::gssapi::{Credential, Mech};

/// Remaining lifetime at which tickets are replaced.
#[cfg(unix)]
const RENEWAL_MARGIN: Duration = Duration::from_mins(5);

/// A credential that was acquired with a password. Each connection has its own context, and would query the KDC again
/// without this credential. Clones share the credential. SSPI has its own cache.
#[derive(Clone, Default)]
pub struct Tickets {
    #[cfg(unix)]
    held: Arc<Mutex<Option<Held>>>,
}

#[cfg(unix)]
struct Held {
    mech: Mech,
    credential: Arc<Mutex<Credential>>,
    expires: Instant,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(unix)]
impl Tickets {
    /// Returns the held credential, or acquires one.
    pub(super) fn credential(
        &self,
        mech: Mech,
        acquire: impl FnOnce() -> Result<Credential, ContextError>,
    ) -> Result<Arc<Mutex<Credential>>, ContextError> {
        // Locked while the KDC is queried: a wrong password is sent only once.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(valid) = held.as_ref().filter(|held| held.mech == mech && held.expires > now) {
            return Ok(valid.credential.clone());
        }
        let credential = acquire()?;
        let lifetime = credential.lifetime().saturating_sub(RENEWAL_MARGIN);
        let credential = Arc::new(Mutex::new(credential));
        *held =
            now.checked_add(lifetime).map(|expires| Held { mech, credential: credential.clone(), expires });
        Ok(credential)
    }

    /// Forgets the credential, after the server did not accept its ticket.
    pub(super) fn forget(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
