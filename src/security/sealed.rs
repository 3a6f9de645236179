//! Sealed HTTP bodies: `multipart/encrypted` (MS-WSMV 2.2.9.1).

use super::{Context, ContextError};

/// The protocol named in a sealed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// For the scheme `Negotiate`, including NTLM without SPNEGO.
    Spnego,
    /// For the scheme `Kerberos`.
    Kerberos,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Self::Spnego => "application/HTTP-SPNEGO-session-encrypted",
            Self::Kerberos => "application/HTTP-Kerberos-session-encrypted",
        }
    }

    fn read(name: &[u8]) -> Option<Self> {
        [Self::Spnego, Self::Kerberos]
            .into_iter()
            .find(|protocol| protocol.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// The boundary of Windows' client; the service of Windows accepts no other boundary.
const BOUNDARY: &str = "Encrypted Boundary";
/// Bytes that a mechanism may add to the data: RC4 keys of Kerberos add one (RFC 4757 7.3), DES up to eight.
const MAX_PADDING: usize = 16;

fn malformed(reason: impl Into<String>) -> ContextError {
    ContextError::Malformed { what: "sealed body", reason: reason.into() }
}

/// Returns whether a `Content-Type` header announces a sealed body.
pub fn is_sealed(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    ["multipart/encrypted", "multipart/x-multi-encrypted"]
        .iter()
        .any(|sealed| media.eq_ignore_ascii_case(sealed))
}

/// Seals a body. Returns the value of its `Content-Type` header, and the body.
///
/// # Errors
/// The context is not established.
pub fn seal(
    context: &mut dyn Context,
    protocol: Protocol,
    content_type: &str,
    body: &[u8],
) -> Result<(String, Vec<u8>), ContextError> {
    let sealed = context.wrap(body)?;
    let name = protocol.name();
    let length = body.len() + sealed.padding;
    let header_length =
        u32::try_from(sealed.header.len()).map_err(|_| malformed("its header is too long"))?;
    let head = format!(
        "--{BOUNDARY}\r\n\tContent-Type: {name}\r\n\tOriginalContent: type={content_type};Length={length}\r\n\
         --{BOUNDARY}\r\n\tContent-Type: application/octet-stream\r\n"
    );
    let end = format!("--{BOUNDARY}--\r\n");
    let bytes = [head.as_bytes(), &header_length.to_le_bytes(), &sealed.header, &sealed.data, end.as_bytes()];
    Ok((format!("multipart/encrypted;protocol=\"{name}\";boundary=\"{BOUNDARY}\""), bytes.concat()))
}

/// Reads and decrypts a sealed body. The body may have several parts, each a message of the context.
///
/// # Errors
/// The format, a length, a signature or a sequence number is wrong.
pub fn unseal(context: &mut dyn Context, content_type: &str, body: &[u8]) -> Result<Vec<u8>, ContextError> {
    if !is_sealed(content_type) {
        return Err(malformed("its content type is not multipart/encrypted"));
    }
    let boundary =
        parameter(content_type, "boundary").ok_or_else(|| malformed("its content type has no boundary"))?;
    if boundary.is_empty() {
        return Err(malformed("its boundary is empty"));
    }
    let protocol = parameter(content_type, "protocol");
    let protocol = protocol.map(|name| known(name.as_bytes())).transpose()?;
    let mut rest = Body { rest: body, boundary };
    if !rest.begins() {
        return Err(malformed("it does not begin with its boundary"));
    }
    let mut plain = Vec::new();
    loop {
        let part = rest.part(protocol)?;
        let mut message = context.unwrap(part.header, part.data)?;
        // `Length` includes the padding (MS-WSMV 2.2.9.1.2.2), which the mechanism removes.
        if message.len() > part.length
            || part.data.len() < part.length
            || part.length - message.len() > MAX_PADDING
        {
            let (found, expected) = (message.len(), part.length);
            return Err(malformed(format!("a part of {expected} bytes has {found}")));
        }
        if plain.is_empty() {
            plain = message;
        } else {
            plain.append(&mut message);
        }
        if rest.ends()? {
            return Ok(plain);
        }
    }
}

fn known(name: &[u8]) -> Result<Protocol, ContextError> {
    Protocol::read(name).ok_or_else(|| {
        malformed(format!("unknown protocol {:?}", String::from_utf8_lossy(&name[..name.len().min(80)])))
    })
}

/// Returns a parameter of a content type, without quotes.
fn parameter<'a>(content_type: &'a str, name: &str) -> Option<&'a str> {
    let (_, mut rest) = content_type.split_once(';')?;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            quoted.split_once('"')?
        } else {
            let (value, next) = after.split_at(after.find(';').unwrap_or(after.len()));
            (value.trim_end(), next)
        };
        if key.trim_matches(|c: char| c == ';' || c.is_ascii_whitespace()).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

/// The unread rest of a body.
struct Body<'a> {
    rest: &'a [u8],
    boundary: &'a str,
}

struct Part<'a> {
    /// Declared length of the plaintext with its padding.
    length: usize,
    header: &'a [u8],
    data: &'a [u8],
}

/// Returns the bytes after a boundary. Exchange writes a space after the hyphens.
fn after_boundary<'a>(bytes: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let name = bytes.strip_prefix(b"--")?;
    name.strip_prefix(b" ").unwrap_or(name).strip_prefix(boundary.as_bytes())
}

impl<'a> Body<'a> {
    fn begins(&mut self) -> bool {
        let after = after_boundary(self.rest, self.boundary);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Consumes one line; returns it without surrounding white space.
    fn line(&mut self) -> Result<&'a [u8], ContextError> {
        let end = self.rest.windows(2).position(|two| two == b"\r\n");
        let end = end.ok_or_else(|| malformed("it ends within the lines before the data"))?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        Ok(line.trim_ascii())
    }

    /// Consumes a boundary on a line of its own.
    fn boundary(&mut self) -> Result<(), ContextError> {
        if self.begins() && self.line()?.is_empty() {
            Ok(())
        } else {
            Err(malformed("a boundary is missing before the data"))
        }
    }

    /// Reads a part after its first boundary.
    fn part(&mut self, protocol: Option<Protocol>) -> Result<Part<'a>, ContextError> {
        if !self.line()?.is_empty() {
            return Err(malformed("text follows a boundary on its line"));
        }
        let named = field(self.line()?, "Content-Type")?;
        let named = known(named)?;
        if protocol.is_some_and(|protocol| protocol != named) {
            return Err(malformed("a part has another protocol than the body"));
        }
        let length = length(field(self.line()?, "OriginalContent")?)?;
        self.boundary()?;
        if !field(self.line()?, "Content-Type")?.eq_ignore_ascii_case(b"application/octet-stream") {
            return Err(malformed("the data are not application/octet-stream"));
        }
        let truncated = || malformed("the data are truncated");
        let (header_length, after) = self.rest.split_first_chunk().ok_or_else(truncated)?;
        let header_length = u32::from_le_bytes(*header_length);
        let header_length = usize::try_from(header_length).map_err(|_| truncated())?;
        let (header, after) = after
            .split_at_checked(header_length)
            .ok_or_else(|| malformed(format!("its signature of {header_length} bytes is truncated")))?;
        // Encrypted bytes may look like a boundary, so only the positions that the length allows are checked.
        let end = (length..=length.saturating_add(MAX_PADDING)).map_while(|end| after.split_at_checked(end));
        let found = end.into_iter().find(|(_, rest)| after_boundary(rest, self.boundary).is_some());
        let (data, rest) =
            found.ok_or_else(|| malformed(format!("no boundary follows the {length} bytes of a part")))?;
        self.rest = rest;
        self.begins();
        Ok(Part { length, header, data })
    }

    /// Returns whether the last boundary ended the body.
    fn ends(&self) -> Result<bool, ContextError> {
        match self.rest.strip_prefix(b"--") {
            Some(rest) if rest.trim_ascii().is_empty() => Ok(true),
            Some(_) => Err(malformed("it has data after its end")),
            None => Ok(false),
        }
    }
}

/// Returns the value of a header line.
fn field<'a>(line: &'a [u8], name: &'static str) -> Result<&'a [u8], ContextError> {
    line.split_at_checked(name.len())
        .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        .and_then(|(_, rest)| rest.trim_ascii_start().strip_prefix(b":"))
        .map(<[u8]>::trim_ascii)
        .ok_or_else(|| malformed(format!("expected the line {name}")))
}

/// Returns the parameter `Length` of the original content.
fn length(content: &[u8]) -> Result<usize, ContextError> {
    content
        .split(|byte| *byte == b';')
        .filter_map(|part| part.trim_ascii().split_at_checked(7))
        .find(|(name, _)| name.eq_ignore_ascii_case(b"Length="))
        .and_then(|(_, value)| str::from_utf8(value).ok())
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| malformed("the original content has no length"))
}
