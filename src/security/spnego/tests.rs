//! A client that prefers Kerberos, and the older form of the first token.

use std::sync::Arc;

use super::token::{self, Init, Response, State};
use super::*;

/// Returns a first token that offers both object identifiers of Kerberos, then NTLM, with a Kerberos token.
fn kerberos_first(with_hints: bool) -> Vec<u8> {
    let kerberos =
        b"\x06\x09\x2a\x86\x48\x82\xf7\x12\x01\x02\x02\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
    let ntlm = b"\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
    let list = [kerberos.as_slice(), ntlm].concat();
    let list = [&[0x30, list.len() as u8], list.as_slice()].concat();
    let mechanisms = [&[0xa0, list.len() as u8], list.as_slice()].concat();
    let hints = b"\xa3\x07\x30\x05\xa0\x03\x1b\x01x".as_slice();
    let fields =
        [mechanisms.as_slice(), b"\xa2\x05\x04\x03abc", if with_hints { hints } else { &[] }].concat();
    let sequence = [&[0x30, fields.len() as u8], fields.as_slice()].concat();
    let choice = [&[0xa0, sequence.len() as u8], sequence.as_slice()].concat();
    let content = [b"\x06\x06\x2b\x06\x01\x05\x05\x02", choice.as_slice()].concat();
    [&[0x60, content.len() as u8], content.as_slice()].concat()
}

fn inner() -> (ntlm::Client, ntlm::Acceptor) {
    let client = ntlm::Client::new("ken", &"secret".to_owned().into(), "HTTP/server", None).unwrap();
    let accounts = Arc::new(|_: &str, _: &str| Some("secret".to_owned().into()));
    (client, ntlm::Acceptor::new("SERVER", accounts, ntlm::Binding::Ignored))
}

#[test]
fn an_offer_lists_the_preferred_mechanism() {
    for with_hints in [false, true] {
        let token = kerberos_first(with_hints);
        let offer = offer(&token).unwrap();
        assert!(offer.spnego);
        assert_eq!(offer.mechanisms, [Offered::Kerberos, Offered::Kerberos, Offered::Ntlm]);
        let init = Init::read(&token).unwrap();
        assert_eq!((init.token, init.mic), (Some(b"abc".as_slice()), None));
    }
}

#[test]
fn a_kerberos_client_must_sign_its_mechanism_list() {
    for signs in [true, false] {
        let (mut client, server) = inner();
        let mut server = Acceptor::new(server);
        let first = kerberos_first(false);
        let reply = server.step(Some(&first)).unwrap().token.unwrap();
        let reply = Response::read(&reply).unwrap();
        assert_eq!((reply.state, reply.token), (Some(State::RequestMic), None));
        assert_eq!(reply.mechanism, Some(token::NTLM.as_bytes()));
        let negotiate = client.step(None).unwrap().token;
        let next = Response { token: negotiate.as_deref(), ..Response::default() }.write().unwrap();
        let reply = server.step(Some(&next)).unwrap().token.unwrap();
        let challenge = Response::read(&reply).unwrap().token.unwrap();
        let last = client.step(Some(challenge)).unwrap().token;
        let list = Init::read(&first).unwrap().list;
        let mic = client.session().unwrap().sign_list(list).unwrap();
        let last =
            Response { token: last.as_deref(), mic: signs.then_some(mic.as_slice()), ..Response::default() };
        let result = server.step(Some(&last.write().unwrap()));
        if !signs {
            assert!(matches!(result, Err(ContextError::Unverified(_))));
            continue;
        }
        let step = result.unwrap();
        assert!(step.established);
        let reply = step.token.unwrap();
        let reply = Response::read(&reply).unwrap();
        assert_eq!(reply.state, Some(State::AcceptCompleted));
        client.session().unwrap().verify_list(list, reply.mic.unwrap()).unwrap();
        let sealed = client.wrap(b"text").unwrap();
        assert_eq!(server.unwrap(&sealed.header, &sealed.data).unwrap(), b"text");
    }
}

#[test]
fn a_client_without_ntlm_is_refused() {
    let token = kerberos_first(false);
    let end = b"\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
    let at = token.windows(end.len()).position(|window| window == end).unwrap();
    let mut other = token.clone();
    other[at + 11] = 0x1e;
    assert_eq!(offer(&other).unwrap().mechanisms[2], Offered::Other);
    let error = Acceptor::new(inner().1).step(Some(&other)).unwrap_err();
    assert!(matches!(error, ContextError::Mechanism { code: ntlm::UNSUPPORTED, .. }), "{error}");
}

#[test]
fn fields_are_unique_and_ordered() {
    for (token, valid) in [
        (b"\xa1\x0c\x30\x0a\xa0\x03\x0a\x01\x01\xa2\x03\x04\x01x".as_slice(), true),
        (b"\xa1\x0c\x30\x0a\xa2\x03\x04\x01x\xa0\x03\x0a\x01\x01", false),
        (b"\xa1\x0c\x30\x0a\xa2\x03\x04\x01x\xa2\x03\x04\x01x", false),
        // Trailing bytes; a length that is not minimal.
        (b"\xa1\x02\x30\x00\x00", false),
        (b"\xa1\x81\x02\x30\x00", false),
    ] {
        assert_eq!(Response::read(token).is_ok(), valid, "{token:x?}");
    }
}
