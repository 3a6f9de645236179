//! The credential of one session's requests and its renewal after a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
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

/// The security profile for client certificates (DSP0226 C.3.3), which WinRM expects in this header.
const MUTUAL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// Returns the header that proves a credential; `None` if a header cannot represent the credential.
///
/// Every buffer here is wiped; the header's bytes when its last clone is dropped, since `HeaderValue` shares them.
/// Copies in the write buffers of hyper and rustls cannot be wiped: neither crate has a hook for it.
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
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Returns the text of a Basic credential (RFC 7617, 2). Buffers are allocated in their final size: a growing
/// buffer would leave its content in the memory that it frees.
fn basic(user: &str, password: &str) -> Zeroizing<Vec<u8>> {
    const SCHEME: &[u8] = b"Basic ";
    let pair = Zeroizing::new([user, ":", password].concat());
    let size = base64::encoded_len(pair.len(), true).unwrap_or_default();
    let mut text = Zeroizing::new(vec![0; SCHEME.len() + size]);
    text[..SCHEME.len()].copy_from_slice(SCHEME);
    // `encode_slice` writes in place; `encode` uses another buffer. The size suffices.
    let _ = STANDARD.encode_slice(pair.as_bytes(), &mut text[SCHEME.len()..]);
    text
}

#[cfg(test)]
mod tests {
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
