//! The credential of one session's requests and its renewal after a refusal.

use hyper::header::HeaderValue;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Mutex;

use super::endpoint::{Authentication, Endpoint, Renew};
use crate::net::basic::{basic, secret_header};

/// The Authorization header of a session's requests.
pub(super) struct Credential {
    header: Mutex<HeaderValue>,
    renew: Option<Renew>,
}

impl Credential {
    /// Returns `None` if a header cannot represent the credential.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        let header = header(&endpoint.authentication)?;
        Some(Self { header: Mutex::new(header), renew: endpoint.renew.clone() })
    }

    pub async fn current(&self) -> HeaderValue {
        self.header.lock().await.clone()
    }

    /// Returns a header other than the refused one. The first of several refused requests fetches it, and the
    /// others wait.
    pub async fn after(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        let renew = self.renew.as_ref()?;
        let mut current = self.header.lock().await;
        if *current == *refused {
            let fresh = header(&renew.fetch().await?)?;
            if fresh == *refused {
                return None;
            }
            *current = fresh;
        }
        Some(current.clone())
    }
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
}
