//! Affinity of a session to one member of a pool: a load balancer finds the member by a cookie.
//!
//! Stricter than RFC 6265: a cookie is sent only to the host that set it (`Domain` is ignored) and below its path,
//! and the size and number of the cookies are limited.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cookie::Cookie;
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use serde::{Deserialize, Serialize};
use url::Url;

/// Maximum number of cookies, and the maximum length of one (RFC 6265 §6.1 recommends 4096 bytes).
const MAX_COOKIES: usize = 50;
const MAX_COOKIE: usize = 4096;
/// Header with the name of the pool member that answered (Exchange).
const FRONT_END: HeaderName = HeaderName::from_static("x-feserver");
/// Maximum length of that name.
const MAX_NAME: usize = 100;

/// A cookie and its scope.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCookie {
    host: String,
    path: String,
    name: String,
    value: String,
    secure: bool,
    expires: Option<SystemTime>,
}

impl fmt::Debug for StoredCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may identify the user.
        write!(f, "{} of {}{}", self.name, self.host, self.path)
    }
}

/// The cookies of a session's endpoint, and the pool member that created the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredAffinity {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<StoredCookie>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front_end: Option<String>,
}

/// The affinity of a session. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Affinity(Arc<Mutex<StoredAffinity>>);

impl Affinity {
    /// Continues with the affinity of an earlier owner of the session.
    pub fn of(stored: StoredAffinity) -> Self {
        Self(Arc::new(Mutex::new(stored)))
    }

    fn state(&self) -> MutexGuard<'_, StoredAffinity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cookies(&self) -> Vec<StoredCookie> {
        self.state().cookies.clone()
    }

    /// Changes the affinity, and records it if it differs. Records have the order of the changes.
    pub fn change(&self, change: impl FnOnce(&mut StoredAffinity), record: impl FnOnce(StoredAffinity)) {
        let mut state = self.state();
        let before = state.clone();
        change(&mut state);
        if *state != before {
            record(state.clone());
        }
    }

    /// Adds the Cookie header for a request to `uri`.
    pub fn apply(&self, uri: &Url, headers: &mut HeaderMap) {
        let now = SystemTime::now();
        let state = self.state();
        let wanted = state.cookies.iter().filter(|cookie| cookie.is_for(uri, now));
        let text: Vec<String> = wanted.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if let Ok(mut header) = HeaderValue::try_from(text.join("; "))
            && !text.is_empty()
        {
            header.set_sensitive(true);
            headers.insert(COOKIE, header);
        }
    }

    /// Returns the names of the pool member that answered and of the member that has the session, if they differ.
    pub fn strayed(&self, headers: &HeaderMap) -> Option<(String, String)> {
        let (home, answering) = (self.state().front_end.clone()?, front_end(headers)?);
        (home != answering).then_some((answering, home))
    }
}

impl StoredAffinity {
    /// Returns whether no server is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Stores the cookies that an answer from `uri` sets.
    pub fn receive(&mut self, uri: &Url, headers: &HeaderMap) {
        let now = SystemTime::now();
        let set = headers.get_all(SET_COOKIE).iter().filter_map(|header| header.to_str().ok());
        for cookie in set.filter_map(|text| StoredCookie::read(text, uri, now)) {
            self.cookies.retain(|old| !old.replaces(&cookie) && !old.is_over(now));
            if !cookie.is_over(now) && self.cookies.len() < MAX_COOKIES {
                self.cookies.push(cookie);
            }
        }
    }

    /// Stores the pool member that created the session.
    pub fn created(&mut self, headers: &HeaderMap) {
        self.front_end = front_end(headers);
    }
}

/// Returns the name of the front end of Exchange that answered.
pub(super) fn front_end(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(FRONT_END)?.to_str().ok()?.trim();
    (!name.is_empty() && name.len() <= MAX_NAME).then(|| name.to_owned())
}

impl StoredCookie {
    fn read(text: &str, uri: &Url, now: SystemTime) -> Option<Self> {
        if text.len() > MAX_COOKIE {
            tracing::debug!("ignoring a cookie of {} bytes", text.len());
            return None;
        }
        let cookie = Cookie::parse(text).ok()?;
        let path = cookie.path().filter(|path| path.starts_with('/')).unwrap_or_else(|| default_path(uri));
        let after = |seconds: i64| match u64::try_from(seconds) {
            Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
            Err(_) => Some(SystemTime::UNIX_EPOCH),
        };
        let expires = match cookie.max_age() {
            Some(age) => after(age.whole_seconds()),
            None => cookie.expires_datetime().map(SystemTime::from),
        };
        Some(Self {
            host: uri.host_str()?.to_owned(),
            path: path.to_owned(),
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
            secure: cookie.secure().unwrap_or(false),
            expires,
        })
    }

    fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Returns whether the cookie is sent with a request (RFC 6265 §5.4, but in any letter case: to IIS, /powershell
    /// and /PowerShell are one path).
    fn is_for(&self, uri: &Url, now: SystemTime) -> bool {
        let (path, length) = (uri.path(), self.path.len());
        let is_below = path.get(..length).is_some_and(|start| start.eq_ignore_ascii_case(&self.path))
            && (path.len() == length || self.path.ends_with('/') || path[length..].starts_with('/'));
        uri.host_str() == Some(&self.host)
            && is_below
            && (!self.secure || uri.scheme() == "https")
            && !self.is_over(now)
    }

    fn replaces(&self, other: &Self) -> bool {
        (&self.name, &self.host, &self.path) == (&other.name, &other.host, &other.path)
    }
}

/// Returns the path of a cookie without one (RFC 6265 §5.1.4).
fn default_path(uri: &Url) -> &str {
    match uri.path().rfind('/') {
        None | Some(0) => "/",
        Some(end) => &uri.path()[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(uri: &str, cookies: &[&str]) -> Affinity {
        let affinity = Affinity::default();
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        affinity.state().receive(&uri.parse().unwrap(), &headers);
        affinity
    }

    fn sent(affinity: &Affinity, uri: &str) -> String {
        let mut headers = HeaderMap::new();
        affinity.apply(&uri.parse().unwrap(), &mut headers);
        headers.get(COOKIE).map_or(String::new(), |header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_are_sent_to_the_host_and_path_that_set_them() {
        let jar = received(
            "https://pool.example.com/wsman",
            &["MS-WSMAN=A; path=/wsman; HttpOnly", "b=2; Secure; Domain=example.com", "c=3; Path=/other"],
        );
        for (uri, expected) in [
            ("https://pool.example.com/wsman", "MS-WSMAN=A; b=2"),
            ("https://pool.example.com/wsman/x?y", "MS-WSMAN=A; b=2"),
            ("https://pool.example.com/WSMan", "MS-WSMAN=A; b=2"),
            ("https://pool.example.com/wsmanx", "b=2"),
            ("http://pool.example.com/wsman", "MS-WSMAN=A"),
            ("https://example.com/wsman", ""),
            ("https://a.pool.example.com/wsman", ""),
            ("https://pool.example.com/other/", "b=2; c=3"),
        ] {
            assert_eq!(sent(&jar, uri), expected, "{uri}");
        }
    }

    #[test]
    fn cookies_are_replaced_and_expire() {
        let uri = "https://h/wsman";
        for (cookies, expected) in [
            (&["a=1", "a=2"][..], "a=2"),
            (&["a=1", "a=; Max-Age=0"], ""),
            (&["a=1; Max-Age=-1"], ""),
            (&["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
            (&["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "a=1"),
            (&["a=1; Max-Age=99999999999999999999"], "a=1"),
            (&["novalue", "=x", ""], ""),
        ] {
            assert_eq!(sent(&received(uri, cookies), uri), expected, "{cookies:?}");
        }
    }

    #[test]
    fn large_and_excess_cookies_are_ignored() {
        let large = format!("a={}", "x".repeat(MAX_COOKIE));
        assert_eq!(sent(&received("https://h/", &[&large]), "https://h/"), "");
        let many: Vec<String> = (0..MAX_COOKIES + 5).map(|number| format!("c{number}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(received("https://h/", &many).cookies().len(), MAX_COOKIES);
    }

    #[test]
    fn cookie_values_are_not_shown_in_debug() {
        let jar = received("https://h/wsman", &["name=secret"]);
        assert_eq!(format!("{:?}", jar.cookies()), "[name of h/]");
        assert!(!format!("{jar:?}").contains("secret"));
    }

    #[test]
    fn a_changed_front_end_is_reported() {
        let affinity = Affinity::default();
        let named = |name: &str| HeaderMap::from_iter([(FRONT_END, name.parse().unwrap())]);
        assert_eq!(affinity.strayed(&named("EX1")), None);
        affinity.state().created(&named("EX1"));
        // The next owner knows it as well.
        let stored = serde_json::to_string(&*affinity.state()).unwrap();
        let affinity = Affinity::of(serde_json::from_str(&stored).unwrap());
        assert_eq!(affinity.strayed(&named("EX1")), None);
        assert_eq!(affinity.strayed(&HeaderMap::new()), None);
        assert_eq!(affinity.strayed(&named("EX2")), Some(("EX2".to_owned(), "EX1".to_owned())));
    }
}
