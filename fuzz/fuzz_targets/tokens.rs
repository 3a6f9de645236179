//! A security context accepts or rejects any token without a crash, on each side and at each step.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lyncsh::security::ntlm::{Acceptor, Binding, Client};
use lyncsh::security::{Context, challenge, spnego};

fn client() -> Client {
    Client::new("LITWARE\\ken", &"secret".to_owned().into(), "HTTP/server", Some(b"tls-server-end-point:hash"))
        .expect("a user name and a password are enough")
}

fn acceptor() -> Acceptor {
    let accounts = Arc::new(|_: &str, _: &str| Some("secret".to_owned().into()));
    Acceptor::new("SERVER", accounts, Binding::Required(b"tls-server-end-point:hash".to_vec()))
}

/// Gives the token to contexts whose handshake has begun.
fn feed(client: &mut dyn Context, server: &mut dyn Context, token: &[u8]) {
    let first = client.step(None).expect("a client begins").token;
    server.step(first.as_deref()).expect("the peer is right");
    let _ = client.step(Some(token));
    assert!(server.step(Some(token)).is_err(), "the token does not prove the password");
}

fuzz_target!(|token: &[u8]| {
    let _ = spnego::offer(token);
    let _ = challenge::offers([token]);
    feed(&mut client(), &mut acceptor(), token);
    feed(&mut spnego::Client::new(client()), &mut spnego::Acceptor::new(acceptor()), token);
    let _ = acceptor().step(Some(token));
    let _ = spnego::Acceptor::new(acceptor()).step(Some(token));
});
