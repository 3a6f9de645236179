//! One side of a Kerberos context on standard input and output, one JSON object per line. It is a separate process
//! because the environment (KRB5_CONFIG, KRB5CCNAME, KRB5_KTNAME) and the clock of `faketime` belong to a process.
//!
//! `initiate` and `accept` create a context; `step`, `wrap` and `unwrap` are its calls. With `whole`, the initiator
//! seals with `gss_wrap`, as with a library without `gss_wrap_iov`.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]
#![cfg(unix)]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::platform::gssapi::{self, Credential, Library, Mech, Name, NameForm, flag};
use lyncsh::security::{
    Account, Context, ContextError, Initiator, Mechanism, Sealed, Step, initiate, kerberos,
};
use serde_json::{Value, json};

enum Side {
    Client(Box<dyn Context>),
    Server(kerberos::Server),
    Whole(Whole),
}

/// An initiator that uses the library directly.
struct Whole {
    context: gssapi::Context,
    credential: Credential,
    target: Name,
}

impl Side {
    fn context(&mut self) -> &mut dyn Context {
        match self {
            Self::Client(context) => context.as_mut(),
            Self::Server(server) => server,
            Self::Whole(whole) => whole,
        }
    }
}

impl Whole {
    fn new(service: &str) -> Result<Self, ContextError> {
        let library = Library::get()?;
        Ok(Self {
            context: gssapi::Context::new(library, Mech::Krb5),
            credential: Credential::system(library, Mech::Krb5)?,
            target: Name::import(library, service, NameForm::Principal)?,
        })
    }
}

impl Context for Whole {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let flags = flag::MUTUAL | flag::REPLAY | flag::SEQUENCE | flag::CONFIDENTIALITY | flag::INTEGRITY;
        let token = token.unwrap_or_default();
        let progress = self.context.initiate(&self.credential, &self.target, flags, None, token);
        let state = progress.result?;
        let token = (!progress.token.is_empty()).then_some(progress.token);
        Ok(Step { token, established: state.established })
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        let gssapi::Wrapped { header, data, padding } = self.context.wrap_whole(message)?;
        Ok(Sealed { header, data, padding })
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(self.context.unwrap_whole(&[header, data].concat())?)
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| STANDARD.decode(text).expect("base64"))
}

fn mechanism(row: &Value) -> Mechanism {
    match row["mechanism"].as_str() {
        Some("kerberos") => Mechanism::Kerberos,
        Some("negotiate") => Mechanism::NegotiateKerberos,
        other => panic!("mechanism {other:?}"),
    }
}

fn failed(error: &ContextError) -> Value {
    let (problem, code) = match error {
        ContextError::Kerberos { problem, code, .. } => (format!("{problem:?}"), *code),
        ContextError::NoLibrary { .. } => ("NoLibrary".to_owned(), 0),
        ContextError::Unverified(_) => ("Unverified".to_owned(), 0),
        other => (format!("{other:?}"), 0),
    };
    json!({
        "problem": problem, "code": code, "text": error.to_string(), "advice": error.advice(),
        "ntlm": error.allows_ntlm(), "refused": error.is_refused_credential(),
    })
}

fn run(side: &mut Option<Side>, row: &Value) -> Result<Value, ContextError> {
    match row["do"].as_str().expect("do") {
        "initiate" => {
            let account = match (row["user"].as_str(), row["password"].as_str()) {
                (Some(user), Some(password)) => {
                    Account::Password { user: user.to_owned(), password: password.to_owned().into() }
                }
                _ => Account::System,
            };
            let service = row["service"].as_str().expect("service").to_owned();
            if row["whole"] == true {
                *side = Some(Side::Whole(Whole::new(&service)?));
                return Ok(json!({}));
            }
            let channel_binding = bytes(&row["binding"]);
            let mechanism = mechanism(row);
            let initiator = Initiator {
                mechanism,
                account,
                service,
                delegate: false,
                channel_binding,
                tickets: lyncsh::security::Tickets::default(),
            };
            *side = Some(Side::Client(initiate(&initiator)?));
            Ok(json!({}))
        }
        "accept" => {
            let server = kerberos::Server::new(mechanism(row), bytes(&row["binding"]))?;
            *side = Some(Side::Server(server));
            Ok(json!({}))
        }
        "step" => {
            let side = side.as_mut().expect("a context");
            let result = side.context().step(bytes(&row["token"]).as_deref());
            let (peer, refusal) = match side {
                Side::Server(server) => {
                    (server.peer().map(str::to_owned), server.refusal().map(|token| STANDARD.encode(token)))
                }
                _ => (None, None),
            };
            match result {
                Ok(step) => Ok(json!({
                    "token": step.token.map(|token| STANDARD.encode(token)),
                    "established": step.established, "peer": peer,
                })),
                Err(error) => Ok(json!({ "error": failed(&error), "token": refusal })),
            }
        }
        "wrap" => {
            let message = bytes(&row["data"]).expect("data");
            let sealed = side.as_mut().expect("a context").context().wrap(&message)?;
            Ok(json!({
                "header": STANDARD.encode(sealed.header), "data": STANDARD.encode(sealed.data),
                "padding": sealed.padding,
            }))
        }
        "unwrap" => {
            let (header, data) = (bytes(&row["header"]).expect("header"), bytes(&row["data"]).expect("data"));
            let message = side.as_mut().expect("a context").context().unwrap(&header, &data)?;
            Ok(json!({ "data": STANDARD.encode(message) }))
        }
        other => panic!("{other}"),
    }
}

fn main() {
    let mut side = None;
    let mut output = std::io::stdout();
    for line in std::io::stdin().lines() {
        let row = serde_json::from_str(&line.expect("a line")).expect("an object");
        let answer = run(&mut side, &row).unwrap_or_else(|error| json!({ "error": failed(&error) }));
        writeln!(output, "{answer}").and_then(|()| output.flush()).expect("standard output");
    }
}
