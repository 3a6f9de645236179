//! Choice of the proxy for a request.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use url::Url;

use super::address::{NotProxy, ProxyAddress, ProxySetting};
use super::error::{ProxyError, ProxyProblem};
use super::login::ProxyLogin;
use crate::net::{is_loopback, refusals};
use crate::security::Account;

/// The variables that name the proxy for a scheme. The first that is set counts; as in curl, an empty variable is not
/// set.
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy settings of a profile, which select the proxy for each URI.
///
/// It owns the profile's setting and login, and the logins found in environment variables; clones share the state of
/// the logins. [`Connector`](crate::net::Connector) calls it for each connection. The profile's setting takes
/// precedence over the variables, and these over the system's settings. A method that one proxy requested is never
/// used at another proxy.
#[derive(Clone, Default)]
pub struct Proxies {
    setting: ProxySetting,
    login: Option<Arc<ProxyLogin>>,
    /// Whether no proxy gets a login, not even the login in an environment variable.
    is_anonymous: bool,
    /// The logins at the system's proxies. The key is the proxy's address for the profile's login, and the variable's
    /// name for a login in an environment variable.
    logins: Arc<Mutex<HashMap<String, Arc<ProxyLogin>>>>,
}

/// The proxy for a request.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub address: ProxyAddress,
    pub login: Option<Arc<ProxyLogin>>,
}

impl Proxies {
    pub fn new(setting: ProxySetting, login: Option<ProxyLogin>) -> Self {
        Self { setting, login: login.map(Arc::new), ..Self::default() }
    }

    /// Returns proxies that get no login.
    pub fn anonymous(setting: ProxySetting) -> Self {
        Self { setting, is_anonymous: true, ..Self::default() }
    }

    /// Returns the proxy for a URI. Connections to this computer use only the profile's proxy.
    ///
    /// # Errors
    /// An environment variable is not the URL of a proxy.
    pub fn route(&self, to: &Url) -> Result<Option<Proxy>, ProxyError> {
        match &self.setting {
            ProxySetting::None => Ok(None),
            ProxySetting::Address(address) => {
                Ok(Some(Proxy { address: address.clone(), login: self.login.clone() }))
            }
            ProxySetting::System if is_loopback(to) => Ok(None),
            ProxySetting::System => self.of_system(to),
        }
    }

    /// Returns whether requests to a URI do not leave this computer: neither the host nor the proxy is elsewhere.
    pub fn is_local(&self, to: &Url) -> bool {
        let is_near = |proxy: Option<Proxy>| proxy.is_none_or(|proxy| is_loopback(proxy.address.uri()));
        is_loopback(to) && self.route(to).is_ok_and(is_near)
    }

    /// Returns the error for a credential that the proxy for a URI has already refused.
    pub fn known_refusal(&self, to: &Url) -> Option<ProxyError> {
        let proxy = self.route(to).ok()??;
        let login = proxy.login?;
        login.credential(&proxy.address).filter(|credential| credential.is_refused())?;
        let problem = Box::new(ProxyProblem::Refused { user: login.user().to_owned() });
        Some(ProxyError::Failed { proxy: proxy.address.to_string(), problem })
    }

    /// Records a refusal by the proxy for a URI that another process received.
    pub fn note_refusal(&self, to: &Url) {
        if let Ok(Some(Proxy { address, login: Some(login) })) = self.route(to) {
            login.credential(&address).into_iter().for_each(refusals::Credential::note_refusal);
        }
    }

    fn of_system(&self, to: &Url) -> Result<Option<Proxy>, ProxyError> {
        let variable = first_set(if to.scheme() == "https" { &HTTPS } else { &HTTP });
        let source_name = variable.as_ref().map_or("the system's settings", |(name, _)| *name);
        let wrong = |problem| ProxyError::Wrong { source_name, problem };
        let matcher = match &variable {
            None => Matcher::from_system(),
            Some((_, value)) => {
                let url = url(value).ok_or(wrong(NotProxy::Form))?;
                ProxyAddress::of(&url).map_err(wrong)?;
                let except = first_set(&EXCEPT).and_then(|(_, hosts)| hosts.into_string().ok());
                Matcher::builder().all(url.to_string()).no(except.unwrap_or_default()).build()
            }
        };
        let to: Uri = to.as_str().parse().map_err(|_| wrong(NotProxy::Form))?;
        let Some(found) = matcher.intercept(&to) else { return Ok(None) };
        let address = Url::parse(&found.uri().to_string()).map_err(|_| NotProxy::Form);
        let address = address.and_then(|url| ProxyAddress::of(&url)).map_err(wrong)?;
        let login = match &self.login {
            Some(login) => Some(self.login_at(&address, login)),
            None if self.is_anonymous => None,
            None => variable.and_then(|(name, _)| self.of_variable(name, &found)),
        };
        Ok(Some(Proxy { address, login }))
    }

    /// Returns the profile's login at a proxy. A method that one proxy requests must not be used at another proxy.
    fn login_at(&self, address: &ProxyAddress, login: &ProxyLogin) -> Arc<ProxyLogin> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.entry(address.to_string()).or_insert_with(|| Arc::new(login.for_another_proxy())).clone()
    }

    /// Returns the login that a variable contains.
    fn of_variable(&self, name: &'static str, found: &Intercept) -> Option<Arc<ProxyLogin>> {
        let mut known = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(login) = known.get(name) {
            return Some(login.clone());
        }
        let (user, password) = match found.raw_auth() {
            Some((user, password)) => (user.to_owned(), SecretString::from(password)),
            None => of_header(found.basic_auth()?)?,
        };
        let account = Account::Password { user: user.clone(), password };
        let login = Arc::new(ProxyLogin::new(user, account));
        known.insert(name.to_owned(), login.clone());
        Some(login)
    }
}

/// Returns the first environment variable that is set and not empty, with its value.
fn first_set(names: &[&'static str]) -> Option<(&'static str, OsString)> {
    names.iter().find_map(|name| Some((*name, std::env::var_os(name).filter(|value| !value.is_empty())?)))
}

/// Returns a variable's value as a URL; without a scheme, it is an HTTP proxy.
fn url(value: &OsString) -> Option<Url> {
    let text = value.to_str()?.trim();
    if text.contains("://") { Url::parse(text).ok() } else { Url::parse(&format!("http://{text}")).ok() }
}

/// Returns the user and the password in the header that the matcher created from them.
fn of_header(header: &HeaderValue) -> Option<(String, SecretString)> {
    let pair = Zeroizing::new(STANDARD.decode(header.as_bytes().strip_prefix(b"Basic ")?).ok()?);
    let (user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((user.to_owned(), SecretString::from(password)))
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, login, is_anonymous, logins: _ } = self;
        let mut shown = f.debug_struct("Proxies");
        shown.field("setting", setting).field("login", login).field("is_anonymous", is_anonymous);
        shown.finish_non_exhaustive()
    }
}
