//! Hashes and keys (MS-NLMP 3.3.2, 3.4.5).

use hmac::{Hmac, KeyInit as _, Mac as _};
use md4::Md4;
use md5::{Digest as _, Md5};
use rc4::{Rc4, StreamCipher as _};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

/// A 128-bit key, wiped when it is dropped.
pub type Key = Zeroizing<[u8; 16]>;

pub fn hmac(key: &[u8; 16], parts: &[&[u8]]) -> Hmac<Md5> {
    // HMAC takes keys of any length; a key of one block cannot fail.
    let mut block = Zeroizing::new([0; 64]);
    block[..16].copy_from_slice(key);
    let mut mac = Hmac::<Md5>::new((&*block).into());
    parts.iter().for_each(|part| mac.update(part));
    mac
}

pub fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> Key {
    Zeroizing::new(hmac(key, parts).finalize().into_bytes().into())
}

pub fn md5(parts: &[&[u8]]) -> Key {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    Zeroizing::new(hash.finalize().into())
}

/// RC4 with a 128-bit key.
pub fn rc4(key: &[u8; 16]) -> Rc4 {
    use rc4::KeyInit as _;
    // The 32-byte key that repeats a 16-byte key has the same schedule: RC4 cycles through its key.
    let mut twice = Zeroizing::new([0; 32]);
    twice[..16].copy_from_slice(key);
    twice[16..].copy_from_slice(key);
    Rc4::new((&*twice).into())
}

/// RC4K: encrypts one value with its own key.
pub fn rc4_key(key: &[u8; 16], value: &[u8; 16]) -> Key {
    let mut out = Zeroizing::new(*value);
    rc4(key).apply_keystream(out.as_mut_slice());
    out
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Converts to upper case as Windows does: each UTF-16 unit on its own, to one unit.
fn upper_case(text: &str) -> String {
    let upper = |character: char| {
        let mut all = character.to_uppercase();
        match (all.next(), all.next()) {
            (Some(one), None) if character.len_utf16() == 1 && one.len_utf16() == 1 => one,
            _ => character,
        }
    };
    text.chars().map(upper).collect()
}

/// NTOWFv1: the hash of the password.
fn password_hash(password: &SecretString) -> Key {
    let password = password.expose_secret();
    // UTF-16 has at most twice the bytes of UTF-8: the vector does not grow, which would leave a copy.
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len() * 2));
    for unit in password.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    Zeroizing::new(Md4::digest(bytes.as_slice()).into())
}

/// NTOWFv2: the key of a user's responses.
pub fn response_key(domain: &str, user: &str, password: &SecretString) -> Key {
    hmac_md5(&password_hash(password), &[&utf16(&upper_case(user)), &utf16(domain)])
}

/// Returns the value of MsvAvChannelBindings: the MD5 of a gss_channel_bindings_struct with empty addresses
/// (MS-NLMP 2.2.2.1, RFC 2744 3.11).
pub fn binding_hash(application_data: &[u8]) -> [u8; 16] {
    let length = u32::try_from(application_data.len()).unwrap_or(u32::MAX);
    *md5(&[&[0; 16], &length.to_le_bytes(), application_data])
}

/// The sender of a message.
#[derive(Clone, Copy)]
pub enum Sender {
    Client,
    Server,
}

/// SIGNKEY with extended session security.
pub fn sign_key(session: &[u8; 16], sender: Sender) -> Key {
    md5(&[
        session,
        match sender {
            Sender::Client => b"session key to client-to-server signing key magic constant\0".as_slice(),
            Sender::Server => b"session key to server-to-client signing key magic constant\0",
        },
    ])
}

/// SEALKEY with extended session security and 128-bit keys.
pub fn seal_key(session: &[u8; 16], sender: Sender) -> Key {
    md5(&[
        session,
        match sender {
            Sender::Client => b"session key to client-to-server sealing key magic constant\0".as_slice(),
            Sender::Server => b"session key to server-to-client sealing key magic constant\0",
        },
    ])
}
