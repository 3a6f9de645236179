//! Content of an HTTP response: its body, decompressed if an intermediary has compressed it, and, for an unexpected
//! response, the title of its page and its sender.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderMap, SERVER, VIA};
use secrecy::zeroize::Zeroizing;

/// Initial capacity for a decompressed body.
const CAPACITY: usize = 1 << 20;

/// The reason why a body is not readable.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke before the body was complete.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// The body, before or after its decompression, exceeds the caller's limit.
    #[error("an answer is larger than {0} bytes")]
    TooLarge(usize),
    /// An encoding other than gzip; lyncsh requests uncompressed responses.
    #[error("an answer is compressed with {0:?}")]
    Encoding(String),
    /// The body is not complete or not gzip, although its Content-Encoding is gzip.
    #[error("cannot decompress an answer: {0}")]
    Gzip(std::io::Error),
}

/// Reads a body of at most `limit` bytes, compressed or not.
pub async fn read_body(headers: &HeaderMap, mut rest: Incoming, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(frame) = rest.frame().await {
        // Trailers are ignored.
        let Ok(chunk) = frame?.into_data() else { continue };
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(decompress(headers, &body, limit)?.unwrap_or(body))
}

/// Returns the content of a compressed body, of at most `limit` bytes; `None` if the body is not compressed.
pub fn decompress(headers: &HeaderMap, body: &[u8], limit: usize) -> Result<Option<Vec<u8>>, BodyError> {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let encoding = encoding.as_deref().unwrap_or_default();
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(None),
        // Some servers name the encoding and send an empty body.
        _ if body.is_empty() => Ok(None),
        "gzip" | "x-gzip" => {
            // A growing buffer would leave a token in the memory that it frees.
            let mut plain = Zeroizing::new(Vec::with_capacity(limit.min(CAPACITY) + 1));
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            MultiGzDecoder::new(body).take(most).read_to_end(&mut plain).map_err(BodyError::Gzip)?;
            if plain.len() > limit {
                return Err(BodyError::TooLarge(limit));
            }
            Ok(Some(std::mem::take(&mut *plain)))
        }
        _ => Err(BodyError::Encoding(encoding.chars().take(20).collect())),
    }
}

/// Returns the title of an answer's page, and the intermediary or server that sent the answer.
pub fn describe(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let parts: Vec<String> = [page_title(body), sender(headers)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the intermediary or server that sent an answer.
pub fn sender(headers: &HeaderMap) -> Option<String> {
    let via = headers.get(VIA).or_else(|| headers.get(SERVER))?.to_str().ok()?;
    Some(format!("sent by {}", single_line(via)?))
}

/// Returns the title of a page as a part of an error.
pub fn page_title(body: &[u8]) -> Option<String> {
    title(body).map(|title| format!("a page, \"{title}\""))
}

/// Returns the title of an HTML page.
fn title(body: &[u8]) -> Option<String> {
    /// Bytes searched for the title.
    const HEAD: usize = 16 * 1024;
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD)]);
    // The offsets stay valid: only ASCII letters change.
    let small = head.to_ascii_lowercase();
    let start = small.find("<title")?;
    let start = start + small[start..].find('>')? + 1;
    let end = start + small[start..].find("</title")?;
    single_line(&head[start..end])
}

/// Returns a server's text on one line of limited length; `None` if it is empty.
pub fn single_line(text: &str) -> Option<String> {
    const MAX_LENGTH: usize = 100;
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(MAX_LENGTH).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use hyper::header::HeaderValue;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(body: Vec<u8>, encoding: &'static str, limit: usize) -> Result<Vec<u8>, BodyError> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
        Ok(decompress(&headers, &body, limit)?.unwrap_or(body))
    }

    #[test]
    fn gzip_is_read_within_the_limit() {
        assert_eq!(decoded(gzip(b"text"), "GZip ", 4).unwrap(), b"text");
        assert_eq!(decoded([gzip(b"te"), gzip(b"xt")].concat(), "gzip", 4).unwrap(), b"text");
        assert_eq!(decoded(b"text".to_vec(), "identity", 4).unwrap(), b"text");
        assert_eq!(decoded(Vec::new(), "gzip", 4).unwrap(), b"");
        // One megabyte of zeros in a kilobyte.
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2048 && matches!(decoded(bomb, "gzip", 5000), Err(BodyError::TooLarge(5000))));
        let whole = gzip(b"text");
        assert!(matches!(decoded(whole[..whole.len() - 6].to_vec(), "gzip", 9), Err(BodyError::Gzip(_))));
        assert!(matches!(decoded(b"text".to_vec(), "br", 9), Err(BodyError::Encoding(_))));
    }
}
