//! Content of an unexpected HTTP answer: the title of its page, and its sender.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, SERVER, VIA};

/// The reason why a body was not read.
pub enum Unread {
    Connection(hyper::Error),
    /// The body has more bytes than this.
    TooLarge(usize),
}

/// Reads a body up to a limit.
pub async fn read(mut rest: Incoming, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(frame) = rest.frame().await {
        // Trailers are ignored.
        let Ok(chunk) = frame.map_err(Unread::Connection)?.into_data() else { continue };
        if body.len() + chunk.len() > limit {
            return Err(Unread::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns the title of an answer's page, and the intermediary or server that sent the answer.
pub fn content(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let title = title(body).map(|title| format!("a page, \"{title}\""));
    let parts: Vec<String> = [title, sender(headers)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn sender(headers: &HeaderMap) -> Option<String> {
    let via = headers.get(VIA).or_else(|| headers.get(SERVER))?.to_str().ok()?;
    Some(format!("sent by {}", plain(via)?))
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
    plain(&head[start..end])
}

/// Returns a server's text on one line of limited length; `None` if it is empty.
fn plain(text: &str) -> Option<String> {
    const LONGEST: usize = 100;
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}
