//! The credential that goes with every request of one session, and how a refused one is renewed.

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
    /// `None` where the credential has characters that no header can carry.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        let header = header(&endpoint.authentication)?;
        Some(Self { header: Mutex::new(header), renew: endpoint.renew.clone() })
    }

    pub async fn current(&self) -> HeaderValue {
        self.header.lock().await.clone()
    }

    /// Another header than the one that was refused. The first of several requests that were refused
    /// fetches it, and the others wait for that.
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

/// Returns the header that proves a credential; `None` where it holds what no header can.
///
/// Every buffer here is wiped: the header's own bytes when its last clone is dropped, as `HeaderValue` shares
/// them and copies nothing. The copies that hyper and rustls make of a request in their write buffers cannot be
/// wiped: neither offers a hook for it.
fn header(authentication: &Authentication) -> Option<HeaderValue> {
    let text = match authentication {
        Authentication::Basic { user, password } => basic(user, password.expose_secret()),
        Authentication::Bearer { token, .. } => {
            Zeroizing::new([b"Bearer ", token.expose_secret().as_bytes()].concat())
        }
    };
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The text of a Basic credential (RFC 7617, 2). Buffers have their final size from the start: one that grows
/// leaves its content in the memory that it gives back.
fn basic(user: &str, password: &str) -> Zeroizing<Vec<u8>> {
    const SCHEME: &[u8] = b"Basic ";
    let pair = Zeroizing::new([user, ":", password].concat());
    let size = base64::encoded_len(pair.len(), true).unwrap_or_default();
    let mut text = Zeroizing::new(vec![0; SCHEME.len() + size]);
    text[..SCHEME.len()].copy_from_slice(SCHEME);
    // `encode_slice` writes in place; `encode` goes through a buffer of its own. The room suffices.
    let _ = STANDARD.encode_slice(pair.as_bytes(), &mut text[SCHEME.len()..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_sensitive_and_hold_the_credential() {
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
