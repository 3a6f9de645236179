//! Acceptors of security contexts, and the accounts of their clients.

#[cfg(unix)]
use crate::security::kerberos;
use crate::security::{Context, ntlm, spnego};

/// A server's side of a security context, with the name of the authenticated account.
pub trait Acceptor: Context {
    /// Returns the account as `user@domain`; `None` until the context is established.
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

#[cfg(unix)]
impl Acceptor for kerberos::Server {
    fn account(&self) -> Option<String> {
        self.peer().map(str::to_lowercase)
    }
}

/// Returns the account of an NTLM client, given as `admin@litwareinc.com` or `LITWAREINC\admin`.
pub fn account_name(domain: &str, user: &str) -> String {
    match domain {
        "" => user.to_lowercase(),
        _ if domain.contains('.') => format!("{user}@{domain}").to_lowercase(),
        _ => format!("{user}@{domain}.com").to_lowercase(),
    }
}
