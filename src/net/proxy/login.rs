//! The account at a proxy and the authentication method that the proxy offers.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::address::ProxyAddress;
use crate::net::refusals;
use crate::net::steps::KDC_TIMEOUT;
use crate::security::negotiation::{Negotiation, Scheme};
use crate::security::{Account, Mechanism};

/// The account at one proxy, shared by all connections.
pub struct ProxyLogin {
    user: String,
    account: Account,
    state: Mutex<State>,
    /// Held until the proxy or a KDC has accepted or refused the credential: a wrong password is sent only once.
    testing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// `None` until the proxy asks for a credential.
    method: Option<Method>,
    is_accepted: bool,
}

/// An authentication method.
#[derive(Clone, Debug)]
pub enum Method {
    Basic,
    Context(Arc<Negotiation>),
}

impl ProxyLogin {
    pub fn new(user: String, account: Account) -> Self {
        Self { user, account, state: Mutex::default(), testing: tokio::sync::Mutex::default() }
    }

    /// Returns a login with the same account for another proxy, with no method selected yet.
    pub fn for_another_proxy(&self) -> Self {
        Self::new(self.user.clone(), self.account.clone())
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns user name and password; `None` for the system's credential.
    pub fn password(&self) -> Option<(&str, &SecretString)> {
        match &self.account {
            Account::Password { user, password } => Some((user, password)),
            Account::System => None,
        }
    }

    /// Returns the key of the password in the record of refused credentials ([`refusals`]).
    pub fn credential(&self, proxy: &ProxyAddress) -> Option<refusals::Credential> {
        self.password().map(|(user, password)| refusals::Credential::new(proxy.uri(), user, password))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn method(&self) -> Option<Method> {
        self.state().method.clone()
    }

    /// Records that the proxy accepted the credential.
    pub fn accepted(&self) {
        let mut state = self.state();
        if let Some(Method::Context(negotiation)) = &state.method {
            negotiation.settle();
        }
        state.is_accepted = true;
    }

    /// Waits while another connection tests the credential. Drop the guard after recording the result. Returns `None`
    /// if the credential was accepted. The wait extends `deadline`, because the other connection has its own time
    /// limit.
    ///
    /// # Errors
    /// The wait took longer than `limit` plus [`KDC_TIMEOUT`].
    pub async fn test_lock(
        &self,
        deadline: &mut Instant,
        limit: Duration,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, Elapsed> {
        if self.state().is_accepted {
            return Ok(None);
        }
        let since = Instant::now();
        let testing = tokio::time::timeout(limit + KDC_TIMEOUT, self.testing.lock()).await?;
        *deadline += since.elapsed();
        Ok(Some(testing).filter(|_| !self.state().is_accepted))
    }

    /// Selects the method for the schemes that a proxy offers; prefers a security context to Basic. Returns whether a
    /// method was found.
    pub fn choose(&self, offered: &[String]) -> bool {
        let method = self.context(offered).map(Method::Context).or_else(|| self.basic(offered));
        let found = method.is_some();
        self.state().method = method;
        found
    }

    /// Selects another method after the proxy ignored the token of `used`. An ignored token is not a refusal of the
    /// credential. Returns whether a method was found.
    pub fn switch_to_offered(&self, used: &Method, offered: &[String]) -> bool {
        let Method::Context(negotiation) = used else { return false };
        if negotiation.switch_to_offered(negotiation.mode(), offered) {
            return true;
        }
        let basic = self.basic(offered);
        let found = basic.is_some();
        self.state().method = basic;
        found
    }

    fn context(&self, offered: &[String]) -> Option<Arc<Negotiation>> {
        let has_password = self.password().is_some();
        let mechanisms = if offers(offered, Scheme::Negotiate) {
            (Mechanism::NegotiateKerberos, Some(Mechanism::Ntlm))
        } else if offers(offered, Scheme::Kerberos) {
            (Mechanism::Kerberos, None)
        } else if offers(offered, Scheme::Ntlm) && (has_password || cfg!(windows)) {
            (Mechanism::Ntlm, None)
        } else {
            return None;
        };
        let negotiation = Negotiation::new(self.user.clone(), self.account.clone(), None, false, mechanisms);
        if mechanisms.0 == Mechanism::Ntlm {
            // Changes the scheme from `Negotiate` to the scheme that the proxy offers.
            negotiation.switch_to_offered(negotiation.mode(), offered);
        }
        Some(Arc::new(negotiation))
    }

    fn basic(&self, offered: &[String]) -> Option<Method> {
        let is_offered = offered.iter().any(|one| one.eq_ignore_ascii_case("Basic"));
        self.password().filter(|_| is_offered).map(|_| Method::Basic)
    }
}

fn offers(offered: &[String], scheme: Scheme) -> bool {
    offered.iter().any(|one| one.eq_ignore_ascii_case(scheme.name()))
}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(account: Account, offered: &[&str]) -> String {
        let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
        let login = ProxyLogin::new("u".into(), account);
        login.choose(&offered);
        match login.method() {
            None => "none".into(),
            Some(Method::Basic) => "basic".into(),
            Some(Method::Context(negotiation)) => {
                let (mechanism, scheme) = negotiation.mode();
                format!("{} as {}", mechanism.name(), scheme.name())
            }
        }
    }

    #[test]
    fn a_security_context_comes_before_basic() {
        let password = || Account::Password { user: "u".into(), password: "p".into() };
        assert_eq!(chosen(password(), &["Basic", "Negotiate", "NTLM"]), "Kerberos as Negotiate");
        assert_eq!(chosen(password(), &["Basic", "ntlm"]), "NTLM as NTLM");
        assert_eq!(chosen(password(), &["Digest", "basic"]), "basic");
        assert_eq!(chosen(password(), &["Digest"]), "none");
        assert_eq!(chosen(Account::System, &["Negotiate", "Basic"]), "Kerberos as Negotiate");
        assert_eq!(chosen(Account::System, &["Basic"]), "none");
    }
}
