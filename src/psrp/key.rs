//! The session key of protocol 2.3 and below: PUBLIC_KEY, ENCRYPTED_SESSION_KEY (MS-PSRP 2.2.2.3 to
//! 2.2.2.5), and SecureStrings under it (2.2.5.1.24): AES-256-CBC with a zero IV.

use secrecy::{SecretBox, SecretString};

/// The AES key that both ends share.
#[derive(Debug)]
pub struct SessionKey(SecretBox<[u8; 32]>);

/// A client's RSA key pair, made when the first secret needs it.
pub struct KeyPair {}

/// Why a key or a secret can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

impl KeyPair {
    /// A new 2048-bit pair.
    pub fn generate() -> Result<Self, KeyError> {
        todo!()
    }

    /// The PUBLICKEYBLOB in hexadecimal that PUBLIC_KEY carries.
    pub fn public_blob(&self) -> String {
        todo!()
    }

    /// Opens the SIMPLEBLOB in hexadecimal of ENCRYPTED_SESSION_KEY.
    pub fn open(&self, blob: &str) -> Result<SessionKey, KeyError> {
        let _ = blob;
        todo!()
    }
}

impl SessionKey {
    /// A new random key (the server's part).
    pub fn generate() -> Self {
        todo!()
    }

    /// The SIMPLEBLOB in hexadecimal under a client's public key.
    pub fn sealed_for(&self, public_blob: &str) -> Result<String, KeyError> {
        let _ = (&self.0, public_blob);
        todo!()
    }

    pub fn encrypt(&self, secret: &SecretString) -> Vec<u8> {
        let _ = secret;
        todo!()
    }

    pub fn decrypt(&self, wire: &[u8]) -> Result<SecretString, KeyError> {
        let _ = wire;
        todo!()
    }
}

/// Reads protocol 2.4's form of a SecureString: UTF-16LE in clear.
pub fn read_clear(wire: &[u8]) -> Result<SecretString, KeyError> {
    let _ = wire;
    todo!()
}
