//! Any sealed body is read or rejected, and its content is not larger than the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyncsh::security::sealed::unseal;
use lyncsh::security::{Context, ContextError, Sealed, Step};

/// Returns every message unchanged: only the format of the body is tested.
struct Open;

impl Context for Open {
    fn step(&mut self, _: Option<&[u8]>) -> Result<Step, ContextError> {
        Err(ContextError::NotEstablished)
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        Ok(Sealed { header: vec![0; 16], data: message.to_vec(), padding: 0 })
    }

    fn unwrap(&mut self, _: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(data.to_vec())
    }
}

fuzz_target!(|input: (&str, &[u8])| {
    let (content_type, body) = input;
    let _ = unseal(&mut Open, content_type, body);
    let fixed = "multipart/encrypted;boundary=\"B\"";
    for body in [body, &[b"--B\r\n", body].concat()] {
        if let Ok(plain) = unseal(&mut Open, fixed, body) {
            assert!(plain.len() < body.len());
        }
    }
});
