//! Where a shell is created, and with which credential.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::net::Trust;
use crate::profile::Limits;

/// Who asks, and how it is proven.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Over TLS, or to loopback.
    Basic {
        user: String,
        password: SecretString,
    },
    Bearer {
        user: String,
        token: SecretString,
    },
    /// The client certificate of [`Trust`], in the handshake (DSP0226 C.3.3).
    Certificate {
        user: String,
    },
}

impl Authentication {
    pub fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } | Self::Bearer { user, .. } | Self::Certificate { user } => user,
        }
    }
}

/// Where a shell is made.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The connection URI, whole, as discovered or configured.
    pub uri: Url,
    /// The configuration's resource URI, for example
    /// `http://schemas.microsoft.com/powershell/Microsoft.PowerShell`.
    pub configuration: String,
    pub authentication: Authentication,
    /// Where another credential comes from when the endpoint refuses this one.
    pub renew: Option<Renew>,
    /// Whom the endpoint has its certificate from.
    pub trust: Trust,
    /// What Create asks for (`IdleTimeOut`).
    pub idle_timeout: Option<std::time::Duration>,
    /// Who takes note of what the session's removal has to know.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Redirections are followed to https only, at most this many.
    pub max_redirections: u8,
    pub limits: Limits,
}

/// Takes note of what the removal of a session has to know when its owner is dead.
pub trait Ledger: std::fmt::Debug + Send + Sync {
    /// The commands that may run from now on. Called before the first of them is sent.
    fn runs(&self, commands: Vec<Uuid>);
    /// The idle timeout that the server has granted.
    fn granted(&self, idle_timeout: std::time::Duration);
    /// From now on the server's "not found" does not prove that the session is gone.
    fn doubts(&self);
}

type Renewing = Pin<Box<dyn Future<Output = Option<Authentication>> + Send>>;

/// Fetches another credential when the endpoint has refused the one in use, such as a token that has
/// expired. `None` where there is no other.
#[derive(Clone)]
pub struct Renew(Arc<dyn Fn() -> Renewing + Send + Sync>);

impl Renew {
    pub fn new<F>(fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Authentication>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(fetch())))
    }

    pub(super) async fn fetch(&self) -> Option<Authentication> {
        (self.0)().await
    }
}

impl fmt::Debug for Renew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renew")
    }
}
