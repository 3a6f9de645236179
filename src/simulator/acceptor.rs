//! Acceptors of security contexts, and the accounts that they authenticate.

use std::fmt;
use std::sync::Arc;

use crate::security::{Context, ContextError, ntlm, spnego};

/// A server's side of a security context that says whom it has authenticated.
pub trait Acceptor: Context {
    /// The account as `user@domain`, once the context is established.
    fn account(&self) -> Option<String>;
}

impl Acceptor for ntlm::Acceptor {
    fn account(&self) -> Option<String> {
        self.identity().map(|one| account_name(&one.domain, &one.user))
    }
}

impl Acceptor for spnego::Acceptor {
    fn account(&self) -> Option<String> {
        self.inner().account()
    }
}

/// Starts an acceptor of Kerberos for a connection, with or without SPNEGO.
pub type StartKerberos = Arc<dyn Fn() -> Result<Box<dyn Acceptor>, ContextError> + Send + Sync>;

/// An acceptor of Kerberos, which needs a library and a key.
#[derive(Clone)]
pub struct Kerberos(pub StartKerberos);

impl fmt::Debug for Kerberos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kerberos")
    }
}

/// The account that an NTLM client means: `admin@litwareinc.com` or `LITWAREINC\admin`.
pub fn account_name(domain: &str, user: &str) -> String {
    match domain {
        "" => user.to_lowercase(),
        _ if domain.contains('.') => format!("{user}@{domain}").to_lowercase(),
        _ => format!("{user}@{domain}.com").to_lowercase(),
    }
}
