//! Endpoint of a shell, with its credential.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::HeaderMap;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use super::affinity::{Affinity, StoredAffinity, StoredCookie};
use crate::net::{Hosts, Proxies, Trust};
use crate::profile::Limits;
use crate::security::negotiation::Negotiation;

/// Credential and its kind.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Over TLS, or to loopback.
    Basic { user: String, password: SecretString },
    Bearer {
        user: String,
        token: SecretString,
        /// The end of the token's lifetime, if it is known.
        expires: Option<Instant>,
    },
    /// Security contexts, which also seal the bodies over http.
    Context(Arc<Negotiation>),
    /// The client certificate of [`Trust`], in the handshake (DSP0226 C.3.3).
    Certificate { user: String },
}

impl Authentication {
    pub fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } | Self::Bearer { user, .. } | Self::Certificate { user } => user,
            Self::Context(negotiation) => &negotiation.user,
        }
    }
}

/// Endpoint of a shell.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The complete connection URI, as discovered or configured.
    pub uri: Url,
    /// The configuration's resource URI, for example
    /// `http://schemas.microsoft.com/powershell/Microsoft.PowerShell`.
    pub configuration: String,
    pub authentication: Authentication,
    /// Source of another credential if the endpoint refuses this one, or if it expires.
    pub renew: Option<Renew>,
    /// TLS settings for the endpoint.
    pub trust: Trust,
    /// The proxies for the endpoint.
    pub proxies: Proxies,
    /// Idle timeout requested in Create (`IdleTimeOut`).
    pub idle_timeout: Option<std::time::Duration>,
    /// Cookies of the session.
    pub affinity: Affinity,
    /// Recorder of the data for the session's removal.
    pub removal_recorder: Option<Arc<dyn RemovalRecorder>>,
    /// Maximum number of redirects; only https targets are followed.
    pub max_redirections: u8,
    /// The hosts to which a redirect may lead.
    pub hosts: Hosts,
    pub limits: Limits,
}

/// Records the data for removing a session whose owner is dead.
pub trait RemovalRecorder: std::fmt::Debug + Send + Sync {
    /// Records the commands that may run from now on. Called before the first of them is sent.
    fn record_commands(&self, commands: Vec<Uuid>);
    /// Records the idle timeout granted by the server.
    fn record_idle_timeout(&self, idle_timeout: std::time::Duration);
    /// Records the cookies with which the session is found.
    fn record_affinity(&self, affinity: StoredAffinity);
    /// Records that a Delete may be unanswered: "not found" no longer proves that the session is gone.
    fn record_unanswered_delete(&self);
}

/// The cookies of a session, which are also recorded for its removal. They are recorded before the body of the answer
/// is read: the cookie of a session is known even if the process is killed then.
#[derive(Clone, Debug)]
pub(super) struct Cookies {
    pub affinity: Affinity,
    removal_recorder: Option<Arc<dyn RemovalRecorder>>,
}

impl Cookies {
    pub fn of(endpoint: &Endpoint) -> Self {
        Self { affinity: endpoint.affinity.clone(), removal_recorder: endpoint.removal_recorder.clone() }
    }

    /// Stores the cookies that an answer from `uri` sets.
    pub fn receive(&self, uri: &Url, headers: &HeaderMap) {
        self.change(|affinity| affinity.receive(uri, headers));
    }

    /// Stores the pool member that created the session.
    pub fn created(&self, headers: &HeaderMap) {
        self.change(|affinity| affinity.created(headers));
    }

    /// Replaces the cookies with earlier ones.
    pub fn restore(&self, cookies: Vec<StoredCookie>) {
        self.change(|affinity| affinity.cookies = cookies);
    }

    fn change(&self, change: impl FnOnce(&mut StoredAffinity)) {
        self.affinity.change(change, |changed| {
            if let Some(recorder) = &self.removal_recorder {
                recorder.record_affinity(changed);
            }
        });
    }
}

type Renewing = Pin<Box<dyn Future<Output = Option<Authentication>> + Send>>;

/// Source of another credential, for when the endpoint has refused the current one or before it expires. Returns `None`
/// if there is no other credential.
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
