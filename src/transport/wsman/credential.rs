//! The credential of one session's requests and its renewal after a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;

use super::endpoint::{Authentication, Endpoint, Renew};

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

/// The security profile for client certificates (DSP0226 C.3.3), which WinRM takes in this header.
const MUTUAL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// Returns the header that proves a credential; `None` where it holds what no header can.
fn header(authentication: &Authentication) -> Option<HeaderValue> {
    let text = match authentication {
        Authentication::Basic { user, password } => {
            let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
            format!("Basic {pair}")
        }
        Authentication::Bearer { token, .. } => format!("Bearer {}", token.expose_secret()),
        // A context's tokens belong to connections.
        Authentication::Context(_) => return None,
        Authentication::Certificate { .. } => MUTUAL.to_owned(),
    };
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
