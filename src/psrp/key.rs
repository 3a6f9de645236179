//! The session key of protocol 2.3 and below: PUBLIC_KEY, ENCRYPTED_SESSION_KEY (MS-PSRP 2.2.2.3 to 2.2.2.5),
//! and SecureStrings encrypted with it (2.2.5.1.24): AES-256-CBC with a zero IV.
//!
//! Both blobs are base64, as in PowerShell (CryptoUtils.cs).

use std::fmt;
use std::sync::Arc;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Encrypt, PrivateKey, PublicKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};

/// Bits of the key pair, as in PowerShell.
const BITS: usize = 2048;
/// Maximum bits of a peer's key: larger numbers take too long to compute with.
const MAX_BITS: usize = 8192;
/// PUBLICKEYBLOB: type 6, version 2, CALG_RSA_KEYX, "RSA1".
const PUBLIC_HEADER: [u8; 12] = *b"\x06\x02\0\0\0\xA4\0\0RSA1";
/// SIMPLEBLOB: type 1, version 2, CALG_AES_256, CALG_RSA_KEYX.
const SESSION_HEADER: [u8; 12] = *b"\x01\x02\0\0\x10\x66\0\0\0\xA4\0\0";

/// The shared AES key. Clones share one copy in memory.
#[derive(Clone)]
pub struct SessionKey(Arc<SecretBox<[u8; 32]>>);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

/// A client's RSA key pair, generated for the first secret. Clones share one copy in memory.
#[derive(Clone)]
pub struct KeyPair(Arc<PrivateKey>);

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair")
    }
}

/// Error of reading a key or a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

fn error(what: &str) -> KeyError {
    KeyError(what.to_owned())
}

impl KeyPair {
    /// Generates a 2048-bit pair, which takes a considerable part of a second.
    pub fn generate() -> Result<Self, KeyError> {
        PrivateKey::new(&mut rand::rng(), BITS)
            .map(|key| Self(Arc::new(key)))
            .map_err(|e| KeyError(format!("cannot generate an RSA key pair: {e}")))
    }

    /// Returns the PUBLICKEYBLOB of PUBLIC_KEY in base64.
    pub fn public_blob(&self) -> String {
        let mut blob = PUBLIC_HEADER.to_vec();
        blob.extend((BITS as u32).to_le_bytes());
        let mut exponent = little_endian(&self.0.e_bytes());
        exponent.resize(4, 0);
        blob.extend(exponent);
        let mut modulus = little_endian(&self.0.n_bytes());
        modulus.resize(BITS / 8, 0);
        blob.extend(modulus);
        STANDARD.encode(blob)
    }

    /// Decrypts the SIMPLEBLOB of ENCRYPTED_SESSION_KEY from base64.
    pub fn open(&self, blob: &str) -> Result<SessionKey, KeyError> {
        let blob = decode(blob).ok_or_else(|| error("the session key is not base64"))?;
        let sealed = blob
            .strip_prefix(&SESSION_HEADER)
            .filter(|sealed| sealed.len() == BITS / 8)
            .ok_or_else(|| error("the session key is not a SIMPLEBLOB of AES-256 under RSA-2048"))?;
        let key = self
            .0
            .decrypt(Pkcs1v15Encrypt, &little_endian(sealed))
            .map(Zeroizing::new)
            .map_err(|_| error("the session key is not encrypted with this client's public key"))?;
        SessionKey::from_bytes(&key)
    }
}

impl SessionKey {
    /// Generates a random key (on the server).
    pub fn generate() -> Self {
        Self(Arc::new(SecretBox::init_with_mut(|key: &mut [u8; 32]| {
            rand::Rng::fill_bytes(&mut rand::rng(), key);
        })))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 {
            return Err(error("the session key does not have 256 bits"));
        }
        Ok(Self(Arc::new(SecretBox::init_with_mut(|key: &mut [u8; 32]| key.copy_from_slice(bytes)))))
    }

    /// Returns the SIMPLEBLOB, encrypted with a client's public key, in base64.
    pub fn sealed_for(&self, public_blob: &str) -> Result<String, KeyError> {
        let public = read_public(public_blob)?;
        let mut sealed = public
            .encrypt(&mut rand::rng(), Pkcs1v15Encrypt, self.0.expose_secret())
            .map_err(|e| KeyError(format!("cannot encrypt with the client's public key: {e}")))?;
        sealed.reverse();
        Ok(STANDARD.encode([&SESSION_HEADER[..], &sealed].concat()))
    }

    /// Returns the wire form of a secret.
    pub fn encrypt(&self, secret: &SecretString) -> Vec<u8> {
        let clear = write_clear(secret);
        cbc::Encryptor::<aes::Aes256>::new(self.0.expose_secret().into(), &[0; 16].into())
            .encrypt_padded_vec::<Pkcs7>(&clear)
    }

    /// Decrypts the wire form of a secret.
    pub fn decrypt(&self, wire: &[u8]) -> Result<SecretString, KeyError> {
        let clear = cbc::Decryptor::<aes::Aes256>::new(self.0.expose_secret().into(), &[0; 16].into())
            .decrypt_padded_vec::<Pkcs7>(wire)
            .map(Zeroizing::new)
            .map_err(|_| error("a secret is not encrypted under the session key"))?;
        read_clear(&clear)
    }
}

/// Returns protocol 2.4's form of a SecureString: UTF-16LE in clear text.
pub fn write_clear(secret: &SecretString) -> Zeroizing<Vec<u8>> {
    let secret = secret.expose_secret();
    // A growing buffer would leave the secret in the memory that it frees.
    let mut clear = Zeroizing::new(Vec::with_capacity(2 * secret.encode_utf16().count()));
    clear.extend(secret.encode_utf16().flat_map(u16::to_le_bytes));
    clear
}

/// Reads protocol 2.4's form of a SecureString: UTF-16LE in clear text.
pub fn read_clear(wire: &[u8]) -> Result<SecretString, KeyError> {
    let (pairs, rest) = wire.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(error("a secret has an odd number of bytes"));
    }
    let units: Zeroizing<Vec<u16>> =
        Zeroizing::new(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect());
    // A unit becomes at most three bytes of UTF-8, so the text does not grow.
    let mut text = Zeroizing::new(String::with_capacity(3 * units.len()));
    for character in char::decode_utf16(units.iter().copied()) {
        text.push(character.map_err(|_| error("a secret is not UTF-16"))?);
    }
    Ok(SecretString::from(text.as_str()))
}

/// Reads a PUBLICKEYBLOB in base64.
fn read_public(blob: &str) -> Result<PublicKey, KeyError> {
    let blob = decode(blob).ok_or_else(|| error("the public key is not base64"))?;
    let parts = blob
        .strip_prefix(&PUBLIC_HEADER)
        .and_then(|rest| rest.split_first_chunk::<4>())
        .and_then(|(bits, rest)| Some((u32::from_le_bytes(*bits), rest.split_first_chunk::<4>()?)));
    let Some((bits, (exponent, modulus))) = parts else {
        return Err(error("the public key is not a PUBLICKEYBLOB of RSA"));
    };
    if bits as usize > MAX_BITS || modulus.len() != (bits as usize).div_ceil(8) {
        return Err(error("the public key's modulus has the wrong length"));
    }
    let number = |bytes: &[u8]| BoxedUint::from_le_slice_vartime(bytes);
    PublicKey::new(number(modulus), number(exponent))
        .map_err(|e| KeyError(format!("invalid public key: {e}")))
}

fn decode(blob: &str) -> Option<Vec<u8>> {
    STANDARD.decode(blob.trim()).ok()
}

fn little_endian(big_endian: &[u8]) -> Vec<u8> {
    big_endian.iter().rev().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_peers_derive_the_same_key() {
        let pair = KeyPair::generate().unwrap();
        let key = SessionKey::generate();
        let opened = pair.open(&key.sealed_for(&pair.public_blob()).unwrap()).unwrap();
        for secret in ["", "hunter2", "sixteen bytes!!!", "pässwörd \u{1f511}"] {
            let wire = key.encrypt(&secret.to_owned().into());
            assert_eq!(wire.len() % 16, 0);
            assert_eq!(opened.decrypt(&wire).unwrap().expose_secret(), secret);
        }
        assert!(SessionKey::generate().decrypt(&key.encrypt(&"x".to_owned().into())).is_err());
        assert!(!format!("{key:?}{pair:?}").contains('['));
    }

    #[test]
    fn invalid_key_blobs_are_errors() {
        let key = SessionKey::generate();
        let headed = |bits: u32, modulus: usize| {
            STANDARD.encode(
                [&PUBLIC_HEADER[..], &bits.to_le_bytes(), &65537u32.to_le_bytes(), &vec![0; modulus]]
                    .concat(),
            )
        };
        for blob in ["", "*", "AAAA", &headed(2048, 10), &headed(2048, 256), &headed(u32::MAX, 10)] {
            assert!(key.sealed_for(blob).is_err(), "{blob}");
        }
        assert!(read_clear(&[1]).is_err());
        assert!(read_clear(&[0, 0xd8]).is_err());
    }
}
