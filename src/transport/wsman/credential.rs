//! The credential of one session's requests and its renewal after a refusal.

use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Mutex;

use super::endpoint::{Authentication, Endpoint, Renew};
use crate::net::basic::{basic, secret_header};

/// Divisor of a token's remaining lifetime: the token is renewed in the last fifth.
const MARGIN: u32 = 5;
/// Maximum time before a token's end at which it is renewed.
const MAX_MARGIN: Duration = Duration::from_mins(5);
/// Shortest time between two renewals.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Delay before a failed renewal is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The Authorization header of a session's requests.
pub(super) struct Credential {
    state: Mutex<State>,
    renew: Option<Renew>,
}

struct State {
    header: HeaderValue,
    /// The time from which a token is renewed.
    due: Option<Instant>,
}

impl State {
    fn new(authentication: &Authentication) -> Option<Self> {
        Some(Self { header: header(authentication)?, due: due(authentication, Instant::now()) })
    }

    /// Delays the next renewal: a service may issue tokens that have expired already.
    fn not_before(self, time: Instant) -> Self {
        Self { due: self.due.map(|due| due.max(time)), ..self }
    }
}

impl Credential {
    /// Returns `None` if a header cannot represent the credential.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        let state = State::new(&endpoint.authentication)?;
        Some(Self { state: Mutex::new(state), renew: endpoint.renew.clone() })
    }

    /// Returns the header. A token that expires soon is renewed first; other requests wait.
    pub async fn current(&self) -> HeaderValue {
        let mut state = self.state.lock().await;
        let is_due = state.due.is_some_and(|due| due <= Instant::now());
        if let Some(renew) = self.renew.as_ref().filter(|_| is_due) {
            match renew.fetch().await.as_ref().and_then(State::new) {
                Some(fresh) => *state = fresh.not_before(Instant::now() + MIN_INTERVAL),
                // The old token may still be valid.
                None => state.due = Some(Instant::now() + RETRY_INTERVAL),
            }
        }
        state.header.clone()
    }

    /// Returns a header other than the refused one. The first of several refused requests fetches it, and the
    /// others wait.
    pub async fn after(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        let renew = self.renew.as_ref()?;
        let mut state = self.state.lock().await;
        if state.header == *refused {
            let fresh = State::new(&renew.fetch().await?)?;
            if fresh.header == *refused {
                return None;
            }
            *state = fresh;
        }
        Some(state.header.clone())
    }
}

/// Returns the time from which a token is renewed.
fn due(authentication: &Authentication, now: Instant) -> Option<Instant> {
    let Authentication::Bearer { expires: Some(expires), .. } = authentication else { return None };
    let left = expires.saturating_duration_since(now);
    now.checked_add(left.saturating_sub((left / MARGIN).min(MAX_MARGIN)))
}

/// The security profile for client certificates (DSP0226 C.3.3), which WinRM expects in this header.
const MUTUAL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// Returns the header that proves a credential; `None` if a header cannot represent the credential.
fn header(authentication: &Authentication) -> Option<HeaderValue> {
    let text = match authentication {
        Authentication::Basic { user, password } => basic(user, password.expose_secret()),
        Authentication::Bearer { token, .. } => {
            Zeroizing::new([b"Bearer ", token.expose_secret().as_bytes()].concat())
        }
        // The tokens of a context belong to connections.
        Authentication::Context(_) => return None,
        Authentication::Certificate { .. } => Zeroizing::new(MUTUAL.as_bytes().to_vec()),
    };
    secret_header(text)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn credential_headers_are_marked_sensitive() {
        for password in ["", "a", "p\u{e4}ss:w\u{1f511}rd", &"x".repeat(3000)] {
            let basic = Authentication::Basic { user: "ken".into(), password: password.into() };
            let header = header(&basic).unwrap();
            assert_eq!(
                header.to_str().unwrap(),
                format!("Basic {}", STANDARD.encode(format!("ken:{password}")))
            );
            assert!(header.is_sensitive());
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_expires() {
        let now = Instant::now();
        let wait = |left: u64| {
            let expires = Some(now + Duration::from_secs(left));
            let bearer = Authentication::Bearer { user: String::new(), token: "t".into(), expires };
            due(&bearer, now).unwrap().duration_since(now).as_secs()
        };
        assert_eq!((wait(3600), wait(600), wait(60)), (3300, 480, 48));
        // The token may have expired before the removal of a session.
        assert_eq!((wait(5), wait(0)), (4, 0));
        let unknown = Authentication::Bearer { user: String::new(), token: "t".into(), expires: None };
        assert_eq!(due(&unknown, now), None);
    }
}
