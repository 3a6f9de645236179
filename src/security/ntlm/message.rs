//! The three messages (MS-NLMP 2.2.1) and the pairs of a target's description (2.2.2.1).

use crate::security::ContextError;

pub const SIGNATURE: [u8; 8] = *b"NTLMSSP\0";
/// Offset of the MIC in an AUTHENTICATE_MESSAGE with a version.
pub const MIC: usize = 72;
/// Offset of the payload after that MIC.
const PAYLOAD: usize = 88;
/// VERSION: Windows 10, NTLMSSP_REVISION_W2K3. For debugging only (MS-NLMP 2.2.2.10).
const VERSION: [u8; 8] = [10, 0, 0, 0, 0, 0, 0, 15];

/// NEGOTIATE flags (MS-NLMP 2.2.2.5).
pub mod flags {
    pub const UNICODE: u32 = 0x0000_0001;
    pub const REQUEST_TARGET: u32 = 0x0000_0004;
    pub const SIGN: u32 = 0x0000_0010;
    pub const SEAL: u32 = 0x0000_0020;
    pub const NTLM: u32 = 0x0000_0200;
    pub const ALWAYS_SIGN: u32 = 0x0000_8000;
    pub const TARGET_TYPE_SERVER: u32 = 0x0002_0000;
    pub const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    pub const TARGET_INFO: u32 = 0x0080_0000;
    pub const VERSION: u32 = 0x0200_0000;
    pub const KEY_128: u32 = 0x2000_0000;
    pub const KEY_EXCHANGE: u32 = 0x4000_0000;
    pub const KEY_56: u32 = 0x8000_0000;

    /// Flags that the client sends.
    pub const CLIENT: u32 = REQUIRED | REQUEST_TARGET | NTLM | ALWAYS_SIGN | TARGET_INFO | VERSION | KEY_56;
    /// Flags that both sides must set.
    pub const REQUIRED: u32 = UNICODE | SIGN | SEAL | EXTENDED_SESSION_SECURITY | KEY_128 | KEY_EXCHANGE;

    /// Returns the names of the required flags that are missing.
    pub fn missing(flags: u32) -> Vec<&'static str> {
        let names = [
            (UNICODE, "Unicode"),
            (SIGN, "signing"),
            (SEAL, "sealing"),
            (EXTENDED_SESSION_SECURITY, "extended session security"),
            (KEY_128, "128-bit keys"),
            (KEY_EXCHANGE, "key exchange"),
        ];
        names.into_iter().filter(|(flag, _)| flags & flag == 0).map(|(_, name)| name).collect()
    }
}

/// Ids of pairs.
pub mod pair {
    pub const END: u16 = 0;
    pub const COMPUTER: u16 = 1;
    pub const DOMAIN: u16 = 2;
    pub const DNS_COMPUTER: u16 = 3;
    pub const DNS_DOMAIN: u16 = 4;
    pub const FLAGS: u16 = 6;
    pub const TIMESTAMP: u16 = 7;
    pub const TARGET: u16 = 9;
    pub const CHANNEL_BINDINGS: u16 = 10;

    /// Flag of a message with a MIC.
    pub const HAS_MIC: u32 = 2;
}

fn malformed(what: &'static str, reason: impl Into<String>) -> ContextError {
    ContextError::Malformed { what, reason: reason.into() }
}

/// A message with a valid signature and type. Reads fields with checked bounds.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(what: &'static str, kind: u32, bytes: &'a [u8]) -> Result<Self, ContextError> {
        let reader = Self { what, bytes };
        if reader.array(0)? != SIGNATURE {
            return Err(malformed(what, "it does not begin with NTLMSSP"));
        }
        let found = reader.number(8)?;
        if found != kind {
            return Err(malformed(what, format!("expected message type {kind}, got {found}")));
        }
        Ok(reader)
    }

    pub fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], ContextError> {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or_else(|| malformed(self.what, format!("truncated at {} bytes", self.bytes.len())))
    }

    pub fn number(&self, at: usize) -> Result<u32, ContextError> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Returns the length and the offset of a field in the payload.
    fn place(&self, at: usize) -> Result<(usize, usize), ContextError> {
        let length = u16::from_le_bytes(self.array(at)?);
        Ok((usize::from(length), self.number(at + 4)? as usize))
    }

    /// Returns a field in the payload, whose length and offset are in the message's head.
    pub fn field(&self, at: usize, head: usize) -> Result<&'a [u8], ContextError> {
        let (length, offset) = self.place(at)?;
        if length == 0 {
            return Ok(&[]);
        }
        if offset < head {
            return Err(malformed(self.what, format!("a field begins at {offset}, within the head")));
        }
        let end = offset.checked_add(length);
        end.and_then(|end| self.bytes.get(offset..end)).ok_or_else(|| {
            let all = self.bytes.len();
            malformed(
                self.what,
                format!("a field of {length} bytes at {offset} exceeds the {all} of the message"),
            )
        })
    }

    pub fn text(&self, at: usize, head: usize) -> Result<String, ContextError> {
        let bytes = self.field(at, head)?;
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().copied().map(u16::from_le_bytes).collect();
        if !rest.is_empty() {
            return Err(malformed(self.what, "a name has an odd number of bytes"));
        }
        String::from_utf16(&units).map_err(|_| malformed(self.what, "a name is not UTF-16"))
    }

    /// Returns the offset of the payload: that of the first field that is not empty.
    fn payload(&self, fields: &[usize]) -> Result<usize, ContextError> {
        let mut least = self.bytes.len();
        for at in fields {
            let (length, offset) = self.place(*at)?;
            if length > 0 {
                least = least.min(offset);
            }
        }
        Ok(least)
    }
}

/// A target's description: pairs of an id and a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Pairs<'a> {
    /// Reads pairs up to MsvAvEOL, which must end the description.
    pub fn read(what: &'static str, bytes: &'a [u8]) -> Result<Self, ContextError> {
        let mut pairs = Vec::new();
        let mut rest = bytes;
        loop {
            let Some((&[a, b, c, d], after)) = rest.split_first_chunk() else {
                return Err(malformed(what, "the target's description has no end"));
            };
            let (id, length) = (u16::from_le_bytes([a, b]), usize::from(u16::from_le_bytes([c, d])));
            let Some((value, next)) = after.split_at_checked(length) else {
                let left = after.len();
                return Err(malformed(
                    what,
                    format!("the pair {id} has {length} bytes, of {left} that are left"),
                ));
            };
            if id == pair::END {
                return match length {
                    0 => Ok(Self(pairs)),
                    _ => Err(malformed(what, "the end of the target's description has a value")),
                };
            }
            pairs.push((id, value));
            rest = next;
        }
    }

    pub fn get(&self, id: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == id).map(|(_, value)| *value)
    }

    /// Returns a pair's value of a fixed size.
    pub fn fixed<const N: usize>(
        &self,
        what: &'static str,
        id: u16,
    ) -> Result<Option<[u8; N]>, ContextError> {
        let Some(value) = self.get(id) else { return Ok(None) };
        match value.try_into() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(malformed(what, format!("the pair {id} has {} bytes, expected {N}", value.len()))),
        }
    }

    pub fn remove(&mut self, id: u16) {
        self.0.retain(|(found, _)| *found != id);
    }

    pub fn push(&mut self, id: u16, value: &'a [u8]) {
        self.0.push((id, value));
    }

    /// Encodes the pairs, with MsvAvEOL at the end.
    ///
    /// # Errors
    /// A value exceeds 65,535 bytes.
    pub fn write(&self, what: &'static str) -> Result<Vec<u8>, ContextError> {
        let mut bytes = Vec::new();
        for (id, value) in &self.0 {
            let length = u16::try_from(value.len())
                .map_err(|_| malformed(what, format!("the pair {id} has {} bytes", value.len())))?;
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(&[0; 4]);
        Ok(bytes)
    }
}

/// A message of a head and a payload.
struct Writer {
    what: &'static str,
    head: Vec<u8>,
    payload: Vec<u8>,
    /// Offset of the payload.
    base: usize,
}

impl Writer {
    fn new(what: &'static str, kind: u32, base: usize) -> Self {
        let head = [SIGNATURE.as_slice(), &kind.to_le_bytes()].concat();
        Self { what, head, payload: Vec::new(), base }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    fn field(&mut self, value: &[u8]) -> Result<(), ContextError> {
        let length = u16::try_from(value.len())
            .map_err(|_| malformed(self.what, format!("a field has {} bytes", value.len())))?;
        let offset = u32::try_from(self.base + self.payload.len())
            .map_err(|_| malformed(self.what, "the payload is too long"))?;
        // Length and maximum length are the same.
        self.raw(&length.to_le_bytes());
        self.raw(&length.to_le_bytes());
        self.raw(&offset.to_le_bytes());
        self.payload.extend_from_slice(value);
        Ok(())
    }

    fn end(mut self) -> Vec<u8> {
        self.head.append(&mut self.payload);
        self.head
    }
}

/// Name of NEGOTIATE_MESSAGE in errors.
pub const NEGOTIATE: &str = "NTLM NEGOTIATE message";

pub fn write_negotiate() -> Vec<u8> {
    let mut message = Writer::new(NEGOTIATE, 1, 40);
    message.raw(&flags::CLIENT.to_le_bytes());
    // No domain, no workstation.
    message.raw(&[0; 16]);
    message.raw(&VERSION);
    message.end()
}

/// Returns the flags of a NEGOTIATE_MESSAGE.
pub fn read_negotiate(bytes: &[u8]) -> Result<u32, ContextError> {
    Reader::new(NEGOTIATE, 1, bytes)?.number(12)
}

/// Name of CHALLENGE_MESSAGE in errors.
pub const CHALLENGE: &str = "NTLM CHALLENGE message";

pub struct Challenge<'a> {
    pub flags: u32,
    pub nonce: [u8; 8],
    pub target: Pairs<'a>,
}

impl<'a> Challenge<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, ContextError> {
        /// Bytes of the head without a version.
        const HEAD: usize = 48;
        let reader = Reader::new(CHALLENGE, 2, bytes)?;
        let flags = reader.number(20)?;
        // Unused, but an invalid field makes the whole message invalid.
        reader.field(12, HEAD)?;
        let description = reader.field(40, HEAD)?;
        let target = if flags & flags::TARGET_INFO != 0 && !description.is_empty() {
            Pairs::read(CHALLENGE, description)?
        } else {
            Pairs::default()
        };
        Ok(Self { flags, nonce: reader.array(24)?, target })
    }

    pub fn write(&self, name: &[u8]) -> Result<Vec<u8>, ContextError> {
        let mut message = Writer::new(CHALLENGE, 2, 56);
        message.field(name)?;
        message.raw(&self.flags.to_le_bytes());
        message.raw(&self.nonce);
        message.raw(&[0; 8]);
        message.field(&self.target.write(CHALLENGE)?)?;
        message.raw(if self.flags & flags::VERSION != 0 { &VERSION } else { &[0; 8] });
        Ok(message.end())
    }
}

/// Name of AUTHENTICATE_MESSAGE in errors.
pub const AUTHENTICATE: &str = "NTLM AUTHENTICATE message";

pub struct Authenticate<'a> {
    pub domain: String,
    pub user: String,
    pub lm: &'a [u8],
    pub nt: &'a [u8],
    pub session_key: &'a [u8],
    pub flags: u32,
    /// Offset of the MIC, if the head has room for one.
    pub mic_at: Option<usize>,
}

impl<'a> Authenticate<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, ContextError> {
        /// Bytes of the head without a version and a MIC.
        const HEAD: usize = 64;
        const FIELDS: [usize; 6] = [12, 20, 28, 36, 44, 52];
        let reader = Reader::new(AUTHENTICATE, 3, bytes)?;
        // The message has no length of the head; the head ends at the payload.
        let mic_at = match reader.payload(&FIELDS)? {
            PAYLOAD.. => Some(MIC),
            80.. => Some(HEAD),
            _ => None,
        };
        reader.field(44, HEAD)?;
        Ok(Self {
            lm: reader.field(12, HEAD)?,
            nt: reader.field(20, HEAD)?,
            domain: reader.text(28, HEAD)?,
            user: reader.text(36, HEAD)?,
            session_key: reader.field(52, HEAD)?,
            flags: reader.number(60)?,
            mic_at,
        })
    }

    /// Writes the message with a MIC of zeros.
    pub fn write(&self) -> Result<Vec<u8>, ContextError> {
        let mut message = Writer::new(AUTHENTICATE, 3, PAYLOAD);
        message.field(self.lm)?;
        message.field(self.nt)?;
        message.field(&super::keys::utf16(&self.domain))?;
        message.field(&super::keys::utf16(&self.user))?;
        // The workstation's name is only used for the server's log, and is omitted.
        message.field(&[])?;
        message.field(self.session_key)?;
        message.raw(&self.flags.to_le_bytes());
        message.raw(if self.flags & flags::VERSION != 0 { &VERSION } else { &[0; 8] });
        message.raw(&[0; 16]);
        Ok(message.end())
    }
}

/// An NTLMv2 response (MS-NLMP 2.2.2.7, 2.2.2.8).
pub struct Response<'a> {
    pub proof: [u8; 16],
    /// The part that the proof covers: `NTLMv2_CLIENT_CHALLENGE` and four zeros.
    pub blob: &'a [u8],
    pub target: Pairs<'a>,
}

impl<'a> Response<'a> {
    pub fn read(nt: &'a [u8]) -> Result<Self, ContextError> {
        /// Bytes of the client's challenge before its pairs.
        const FIXED: usize = 28;
        let Some((proof, blob)) = nt.split_first_chunk() else {
            return Err(malformed(AUTHENTICATE, "it has no NTLMv2 response"));
        };
        match blob.get(FIXED..) {
            Some(pairs) if blob.starts_with(&[1, 1]) => {
                Ok(Self { proof: *proof, blob, target: Pairs::read(AUTHENTICATE, pairs)? })
            }
            // An NTLMv1 response has 24 bytes in total.
            _ => Err(malformed(AUTHENTICATE, "its response is not NTLMv2")),
        }
    }
}

/// Writes the part of an NT response that its proof covers.
pub fn write_blob(time: [u8; 8], nonce: [u8; 8], target: &[u8]) -> Vec<u8> {
    [&[1, 1, 0, 0, 0, 0, 0, 0], time.as_slice(), &nonce, &[0; 4], target, &[0; 4]].concat()
}
