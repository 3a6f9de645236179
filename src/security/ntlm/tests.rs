//! The test vectors of MS-NLMP 4.2.4: NTLMv2 with user `User`, domain `Domain`, password `Password`.

use rc4::StreamCipher as _;

use super::client::Answer;
use super::keys::{self, Key, Sender};
use super::message::{self, Authenticate, Challenge, Pairs, Response, flags, pair};
use super::session::Session;
use crate::security::ContextError;

const SERVER_NONCE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
const NONCE: [u8; 8] = [0xaa; 8];
const SESSION_KEY: [u8; 16] = [0x55; 16];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn response_key() -> Key {
    keys::response_key("Domain", "User", &"Password".to_owned().into())
}

/// The target of 4.2.4: a domain and a server.
fn target() -> Vec<u8> {
    let (domain, server) = (keys::utf16("Domain"), keys::utf16("Server"));
    let mut pairs = Pairs::default();
    pairs.push(pair::DOMAIN, &domain);
    pairs.push(pair::COMPUTER, &server);
    pairs.write("test").unwrap()
}

#[test]
fn response_keys() {
    // 4.2.4.1.1
    assert_eq!(response_key().to_vec(), hex("0c868a403bfd7a93a3001ef22ef02e3f"));
    // 4.2.2.1.2 has the hash of the password; the user's name is converted, the domain is not.
    let other = keys::response_key("Domain", "uSER", &"Password".to_owned().into());
    assert_eq!(other, response_key());
    assert_ne!(keys::response_key("DOMAIN", "User", &"Password".to_owned().into()), response_key());
}

#[test]
fn responses_and_the_session_key() {
    let blob = message::write_blob([0; 8], NONCE, &target());
    let answer = Answer::compute(&response_key(), SERVER_NONCE, NONCE, &blob, true);
    // 4.2.4.2.1 and 4.2.4.2.2
    assert_eq!(answer.lm, hex("86c35097ac9cec102554764a57cccc19 aaaaaaaaaaaaaaaa"));
    assert_eq!(answer.nt[..16], hex("68cd0ab851e51c96aabc927bebef6a1c"));
    // 4.2.4.1.2 and 4.2.4.2.3
    assert_eq!(answer.session_base_key.to_vec(), hex("8de40ccadbc14a82f15cb0ad0de95ca3"));
    let encrypted = keys::rc4_key(&answer.session_base_key, &SESSION_KEY);
    assert_eq!(encrypted.to_vec(), hex("c5dad2544fc9799094ce1ce90bc9d03e"));
}

#[test]
fn the_challenge_is_read_and_written() {
    // 4.2.4.3
    let bytes = hex("4e544c4d53535000 02000000 0c000c0038000000 33828ae2 0123456789abcdef 0000000000000000
         2400240044000000 060070170000000f 530065007200760065007200
         02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000");
    let challenge = Challenge::read(&bytes).unwrap();
    assert_eq!((challenge.flags, challenge.nonce), (0xe28a_8233, SERVER_NONCE));
    assert_eq!(challenge.target.write("test").unwrap(), target());
    let own = Challenge { flags: challenge.flags, nonce: SERVER_NONCE, target: challenge.target.clone() };
    let mut own = own.write(&keys::utf16("Server")).unwrap();
    // Compare all fields except the version.
    own[48..56].copy_from_slice(&bytes[48..56]);
    assert_eq!(own, bytes);
}

#[test]
fn the_authenticate_message_is_read() {
    // 4.2.4.3, a message without a MIC.
    let bytes =
        hex("4e544c4d53535000 03000000 180018006c000000 5400540084000000 0c000c0048000000 0800080054000000
         1000100 05c000000 10001000d8000000 358288e2 0501280a0000000f
         44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
         86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa
         68cd0ab851e51c96aabc927bebef6a1c 0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000
         02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000 00000000
         c5dad2544fc9799094ce1ce90bc9d03e");
    let message = Authenticate::read(&bytes).unwrap();
    assert_eq!((message.domain.as_str(), message.user.as_str()), ("Domain", "User"));
    assert_eq!((message.flags, message.mic_at), (0xe288_8235, None));
    let response = Response::read(message.nt).unwrap();
    assert_eq!(response.proof.to_vec(), hex("68cd0ab851e51c96aabc927bebef6a1c"));
    assert_eq!(response.target.get(pair::DOMAIN), Some(keys::utf16("Domain").as_slice()));
    assert_eq!(flags::CLIENT, 0xe288_8235);
}

#[test]
fn sealed_messages() {
    // 4.2.4.4
    assert_eq!(
        keys::seal_key(&SESSION_KEY, Sender::Client).to_vec(),
        hex("59f600973cc4960a25480a7c196e4c58")
    );
    assert_eq!(
        keys::sign_key(&SESSION_KEY, Sender::Client).to_vec(),
        hex("4788dc861b4782f35d43fd98fe1a2d39")
    );
    let mut client = Session::new(&SESSION_KEY, Sender::Client);
    let sealed = client.wrap(&keys::utf16("Plaintext")).unwrap();
    assert_eq!(sealed.data, hex("54e50165bf1936dc996020c1811b0f06fb5f"));
    assert_eq!(sealed.header, hex("01000000 7fb38ec5c55d4976 00000000"));
    let mut server = Session::new(&SESSION_KEY, Sender::Server);
    assert_eq!(server.unwrap(&sealed.header, &sealed.data).unwrap(), keys::utf16("Plaintext"));
}

#[test]
fn ciphers_take_keys_of_sixteen_bytes() {
    // RFC 6229, 128-bit key 0102…10, offset 0.
    let key: [u8; 16] = std::array::from_fn(|index| index as u8 + 1);
    let mut stream = [0; 16];
    keys::rc4(&key).apply_keystream(&mut stream);
    assert_eq!(stream.to_vec(), hex("9ac7cc9a609d1ef7b2932899cde41b97"));
    // RFC 2104: HMAC-MD5 under sixteen bytes 0x0b.
    assert_eq!(keys::hmac_md5(&[0x0b; 16], &[b"Hi There"]).to_vec(), hex("9294727a3638bb1c13f48ef8158bfc9d"));
}

#[test]
fn repeated_reordered_and_changed_messages_are_refused() {
    let pair = || (Session::new(&SESSION_KEY, Sender::Client), Session::new(&SESSION_KEY, Sender::Server));
    let (mut client, mut server) = pair();
    let first = client.wrap(b"one").unwrap();
    let second = client.wrap(b"two").unwrap();
    let broken = Err(ContextError::NotEstablished);
    assert_eq!(
        server.unwrap(&second.header, &second.data),
        Err(ContextError::Unverified("expected the sealed message 0, got 1".to_owned()))
    );
    assert_eq!(server.unwrap(&first.header, &first.data), broken);
    let (mut client, mut server) = pair();
    let first = client.wrap(b"one").unwrap();
    assert_eq!(server.unwrap(&first.header, &first.data).unwrap(), b"one");
    assert!(matches!(server.unwrap(&first.header, &first.data), Err(ContextError::Unverified(_))));
    // A change of any bit must be detected.
    for bit in 0..(16 + 3) * 8_usize {
        let (mut client, mut server) = pair();
        let mut sealed = client.wrap(b"one").unwrap();
        let byte = bit / 8;
        match byte.checked_sub(16) {
            None => sealed.header[byte] ^= 1 << (bit % 8),
            Some(byte) => sealed.data[byte] ^= 1 << (bit % 8),
        }
        assert!(server.unwrap(&sealed.header, &sealed.data).is_err(), "{bit}");
    }
    // A client must not accept its own messages.
    let (mut client, _) = pair();
    let own = client.wrap(b"one").unwrap();
    assert!(client.unwrap(&own.header, &own.data).is_err());
}

#[test]
fn names_are_converted_unit_by_unit() {
    let key = |user: &str| keys::response_key("", user, &"x".to_owned().into());
    assert_eq!(key("josé"), key("JOSÉ"));
    // Windows keeps ß, which Unicode converts to SS.
    assert_ne!(key("groß"), key("GROSS"));
}

#[test]
fn the_channel_binding_is_hashed_with_empty_addresses() {
    let data = b"tls-server-end-point:hash";
    let mut structure = vec![0; 16];
    structure.extend_from_slice(&25_u32.to_le_bytes());
    structure.extend_from_slice(data);
    assert_eq!(keys::binding_hash(data), *keys::md5(&[&structure]));
}
