//! Headers with a secret, in memory that is wiped.
//!
//! The header's bytes are wiped when its last clone is dropped, since `HeaderValue` shares them. Copies in the write
//! buffers of hyper and rustls cannot be wiped: neither crate has a hook for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::HeaderValue;
use secrecy::zeroize::Zeroizing;

/// Returns a header with a secret; `None` if a header cannot represent it.
pub fn secret_header(text: Zeroizing<Vec<u8>>) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Returns the text of a Basic credential (RFC 7617, 2). Buffers are allocated in their final size: a growing
/// buffer would leave its content in the memory that it frees.
pub fn basic(user: &str, password: &str) -> Zeroizing<Vec<u8>> {
    const SCHEME: &[u8] = b"Basic ";
    let pair = Zeroizing::new([user, ":", password].concat());
    let size = base64::encoded_len(pair.len(), true).unwrap_or_default();
    let mut text = Zeroizing::new(vec![0; SCHEME.len() + size]);
    text[..SCHEME.len()].copy_from_slice(SCHEME);
    // `encode_slice` writes in place; `encode` uses another buffer. The size suffices.
    let _ = STANDARD.encode_slice(pair.as_bytes(), &mut text[SCHEME.len()..]);
    text
}
