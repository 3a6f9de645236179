//! Sealed messages of an established context (MS-NLMP 3.4.4.2), with a sequence number in each direction.

use hmac::Mac as _;
use rc4::{Rc4, StreamCipher as _};

use super::keys::{self, Key, Sender};
use crate::security::{ContextError, Sealed};

/// Bytes of NTLMSSP_MESSAGE_SIGNATURE (MS-NLMP 2.2.2.9.2).
const SIGNATURE: usize = 16;
/// The signature's version field.
const VERSION: [u8; 4] = [1, 0, 0, 0];

struct Direction {
    sign: Key,
    seal: Key,
    stream: Rc4,
    sequence: u32,
}

impl Direction {
    fn new(session: &[u8; 16], sender: Sender) -> Self {
        let seal = keys::seal_key(session, sender);
        Self { sign: keys::sign_key(session, sender), stream: keys::rc4(&seal), seal, sequence: 0 }
    }

    fn advance(&mut self) -> Result<(), ContextError> {
        self.sequence = self.sequence.checked_add(1).ok_or(ContextError::NotEstablished)?;
        Ok(())
    }

    fn checksum(&self, message: &[u8]) -> [u8; 8] {
        let digest = keys::hmac_md5(&self.sign, &[&self.sequence.to_le_bytes(), message]);
        let [checksum @ .., _, _, _, _, _, _, _, _] = *digest;
        checksum
    }

    fn signature(&self, checksum: [u8; 8]) -> Vec<u8> {
        [VERSION.as_slice(), &checksum, &self.sequence.to_le_bytes()].concat()
    }

    /// Checks version and sequence number, and returns the encrypted checksum.
    fn open(&self, signature: &[u8]) -> Result<[u8; 8], ContextError> {
        let malformed = |reason: String| ContextError::Malformed { what: "NTLM signature", reason };
        let Ok(signature) = <&[u8; SIGNATURE]>::try_from(signature) else {
            return Err(malformed(format!("expected {SIGNATURE} bytes, got {}", signature.len())));
        };
        let [a, b, c, d, checksum @ .., e, f, g, h] = *signature;
        if [a, b, c, d] != VERSION {
            return Err(malformed(format!("expected version 1, got {}", u32::from_le_bytes([a, b, c, d]))));
        }
        let sequence = u32::from_le_bytes([e, f, g, h]);
        if sequence != self.sequence {
            let expected = self.sequence;
            return Err(ContextError::Unverified(format!(
                "expected the sealed message {expected}, got {sequence}"
            )));
        }
        Ok(checksum)
    }

    fn verify(&self, message: &[u8], checksum: [u8; 8]) -> Result<(), ContextError> {
        keys::hmac(&self.sign, &[&self.sequence.to_le_bytes(), message])
            .verify_truncated_left(&checksum)
            .map_err(|_| ContextError::Unverified("the signature of a sealed message is wrong".to_owned()))
    }
}

/// The keys of an established context. After a failed verification they no longer agree with the peer's, and every
/// operation fails.
pub struct Session {
    sending: Direction,
    receiving: Direction,
    is_broken: bool,
}

impl Session {
    pub fn new(session: &[u8; 16], own: Sender) -> Self {
        let peer = match own {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        };
        Self {
            sending: Direction::new(session, own),
            receiving: Direction::new(session, peer),
            is_broken: false,
        }
    }

    fn sending(&mut self) -> Result<&mut Direction, ContextError> {
        if self.is_broken { Err(ContextError::NotEstablished) } else { Ok(&mut self.sending) }
    }

    fn verified<T>(
        &mut self,
        verify: impl FnOnce(&mut Direction) -> Result<T, ContextError>,
    ) -> Result<T, ContextError> {
        if self.is_broken {
            return Err(ContextError::NotEstablished);
        }
        let result = verify(&mut self.receiving);
        self.is_broken = result.is_err();
        result
    }

    pub fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        let own = self.sending()?;
        let mut data = message.to_vec();
        let mut checksum = own.checksum(message);
        // One key stream: first the message, then the checksum.
        own.stream.apply_keystream(&mut data);
        own.stream.apply_keystream(&mut checksum);
        let header = own.signature(checksum);
        own.advance()?;
        Ok(Sealed { header, data, padding: 0 })
    }

    pub fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.verified(|peer| {
            let mut checksum = peer.open(header)?;
            let mut message = data.to_vec();
            peer.stream.apply_keystream(&mut message);
            peer.stream.apply_keystream(&mut checksum);
            peer.verify(&message, checksum)?;
            peer.advance()?;
            Ok(message)
        })
    }

    /// Signs SPNEGO's list of mechanisms with a separate cipher: after the signature, the cipher is reset and the
    /// sequence number continues (MS-SPNG 3.2.5.1, 3.3.5.1).
    pub fn sign_list(&mut self, list: &[u8]) -> Result<Vec<u8>, ContextError> {
        let own = self.sending()?;
        let mut checksum = own.checksum(list);
        keys::rc4(&own.seal).apply_keystream(&mut checksum);
        let signature = own.signature(checksum);
        own.advance()?;
        Ok(signature)
    }

    /// Verifies the peer's signature of SPNEGO's list of mechanisms.
    pub fn verify_list(&mut self, list: &[u8], signature: &[u8]) -> Result<(), ContextError> {
        self.verified(|peer| {
            let mut checksum = peer.open(signature)?;
            keys::rc4(&peer.seal).apply_keystream(&mut checksum);
            peer.verify(list, checksum)?;
            peer.advance()
        })
    }
}
