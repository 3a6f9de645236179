//! Both ends of a runspace pool, joined.

use lyncsh::psrp::client::{self, ClientPool, PipelineEvent, ProtocolError};
use lyncsh::psrp::clixml::{self, Value};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::host::{HostInfo, HostMethod, HostResponse};
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::psrp::pipeline::Pipeline;
use lyncsh::psrp::pool::{Protocol, SessionCapability};
use lyncsh::psrp::record::{PipelineState, PoolState};
use lyncsh::psrp::server::{self, ServerPool};
use proptest::prelude::*;
use uuid::Uuid;

use crate::psrp_recordings::messages;

/// A client and a server of lyncsh, connected; every message is sent in fragments.
struct Pair {
    client: ClientPool,
    server: ServerPool,
    client_events: Vec<client::ClientEvent>,
    server_events: Vec<server::ServerEvent>,
    /// Types of the sent messages in order.
    went: Vec<MessageType>,
}

impl Pair {
    fn open() -> Self {
        Self::between(Protocol::V2_3, Protocol::V2_3)
    }

    fn between(client: Protocol, server: Protocol) -> Self {
        let mut client = ClientPool::new(Uuid::new_v4(), HostInfo::default(), (1, 1)).with_protocol(client);
        client.open();
        let server = ServerPool::new(Value::primitive_dictionary([])).with_protocol(server);
        let mut pair =
            Self { client, server, client_events: Vec::new(), server_events: Vec::new(), went: Vec::new() };
        pair.exchange();
        assert!(matches!(pair.server_events[..], [server::ServerEvent::Open { .. }]));
        pair.server.opened();
        pair.exchange();
        assert_eq!(pair.client.state(), PoolState::Opened);
        pair
    }

    fn carry(message: &Message) -> Message {
        let mut defragmenter = Defragmenter::default();
        let fragments = Fragmenter::default().cut(&message.encode(), 100).concat();
        Message::decode(&defragmenter.push(&fragments).unwrap()[0]).unwrap()
    }

    /// Exchanges messages until both queues are empty.
    fn exchange(&mut self) {
        loop {
            let (asked, answered) = (self.client.take_outgoing(), self.server.take_outgoing());
            if asked.is_empty() && answered.is_empty() {
                return;
            }
            for out in asked {
                self.went.push(out.message.kind);
                self.server_events.extend(self.server.receive(&Self::carry(&out.message)).unwrap());
            }
            for message in answered {
                self.went.push(message.kind);
                self.client_events.extend(self.client.receive(&Self::carry(&message)).unwrap());
            }
        }
    }
}

fn secret(text: &str) -> Value {
    Value::secure(text.to_owned().into())
}

#[test]
fn messages_after_a_secret_wait_for_the_key() {
    let mut pair = Pair::open();
    let id = pair.client.create_pipeline(&Pipeline { no_input: false, ..Pipeline::new(vec![]) });
    pair.client.input(id, &1.into());
    pair.client.input(id, &Value::array([secret("hunter2")]));
    pair.client.input(id, &3.into());
    pair.client.end_input(id);
    let other = pair.client.create_pipeline(&Pipeline::new(vec![]));
    let first: Vec<_> = pair.client.take_outgoing();
    let kinds: Vec<_> = first.iter().map(|out| (out.message.kind, out.message.pipeline)).collect();
    assert_eq!(
        kinds,
        [
            (MessageType::PublicKey, Uuid::nil()),
            (MessageType::CreatePipeline, id),
            (MessageType::PipelineInput, id),
            (MessageType::CreatePipeline, other),
        ]
    );
    assert!(first.iter().all(|out| !format!("{out:?}").contains("hunter2")));
    for out in first {
        pair.server_events.extend(pair.server.receive(&out.message).unwrap());
    }
    pair.exchange();
    let inputs: Vec<_> = pair
        .server_events
        .iter()
        .filter_map(|event| match event {
            server::ServerEvent::Input(_, value) => Some(value.clone()),
            server::ServerEvent::EndInput(_) => Some(Value::Null),
            _ => None,
        })
        .collect();
    assert_eq!(inputs, [1.into(), Value::array([secret("hunter2")]), 3.into(), Value::Null]);

    // A second secret needs no second key exchange, and the server can encrypt as well.
    pair.went.clear();
    let call = pair.server.host_call(Some(id), HostMethod::ReadLineAsSecureString, vec![]);
    assert_eq!(call, 1);
    pair.exchange();
    pair.client.respond(
        Some(id),
        &HostResponse {
            call_id: call,
            method: HostMethod::ReadLineAsSecureString,
            result: Ok(Some(secret("pw"))),
        },
    );
    pair.exchange();
    pair.server.output(id, &secret("back"));
    pair.server.pipeline_state(id, PipelineState::Completed, None);
    pair.exchange();
    assert_eq!(
        pair.went,
        [
            MessageType::PipelineHostCall,
            MessageType::PipelineHostResponse,
            MessageType::PipelineOutput,
            MessageType::PipelineState
        ]
    );
    assert!(
        pair.client_events
            .contains(&client::ClientEvent::Pipeline(id, PipelineEvent::Output(secret("back"))))
    );
    assert!(pair.server_events.iter().any(|event| matches!(event,
        server::ServerEvent::HostResponse(Some(_), HostResponse { result: Ok(Some(value)), .. }) if *value == secret("pw"))));
}

#[test]
fn a_server_with_a_secret_requests_the_clients_key() {
    let mut pair = Pair::open();
    let id = pair.client.create_pipeline(&Pipeline::new(vec![]));
    pair.exchange();
    pair.went.clear();
    pair.server.output(id, &"before".into());
    pair.server.output(id, &secret("hunter2"));
    pair.server.pipeline_state(id, PipelineState::Completed, None);
    let first = pair.server.take_outgoing();
    let request = &first[0];
    assert_eq!((request.kind, request.body.as_str()), (MessageType::PublicKeyRequest, "<S></S>"));
    for message in first {
        pair.client_events.extend(pair.client.receive(&message).unwrap());
    }
    pair.exchange();
    let said: Vec<_> = pair.client_events.iter().rev().take(3).rev().cloned().collect();
    assert_eq!(
        said,
        [
            client::ClientEvent::Pipeline(id, PipelineEvent::Output("before".into())),
            client::ClientEvent::Pipeline(id, PipelineEvent::Output(secret("hunter2"))),
            client::ClientEvent::Pipeline(id, PipelineEvent::State(PipelineState::Completed, None)),
        ]
    );
}

#[test]
fn available_runspaces_can_be_queried() {
    let mut pair = Pair::open();
    let available = pair.client.get_available_runspaces();
    pair.exchange();
    assert_eq!(pair.server_events[1..], [server::ServerEvent::GetAvailableRunspaces { call_id: available }]);
    // A call that this client has no use for.
    let max = available + 1;
    let body = Value::with_properties([("MaxRunspaces", Value::I32(5)), ("ci", Value::I64(max))]);
    let message = Message {
        destination: Destination::Server,
        kind: MessageType::SetMaxRunspaces,
        pool: pair.client.id(),
        pipeline: Uuid::nil(),
        body: clixml::write(&body),
    };
    let events = pair.server.receive(&Pair::carry(&message)).unwrap();
    assert_eq!(events, [server::ServerEvent::SetMaxRunspaces { call_id: max, max: 5 }]);
    pair.server.runspace_availability(available, Value::I32(1));
    pair.server.runspace_availability(max, true.into());
    pair.server.user_event(&Value::with_properties(
        [("PSEventArgs.EventIdentifier", 1)].map(|(n, v)| (n, Value::I32(v))),
    ));
    pair.exchange();
    let received: Vec<_> = pair.client_events.iter().rev().take(3).rev().cloned().collect();
    assert!(matches!(
        &received[..],
        [
            client::ClientEvent::RunspaceAvailability { result: Value::I64(1), .. },
            client::ClientEvent::RunspaceAvailability { result: Value::Bool(true), .. },
            client::ClientEvent::UserEvent(_),
        ]
    ));
}

#[test]
fn out_of_order_and_unsupported_peers_are_refused() {
    let mut server = ServerPool::new(Value::primitive_dictionary([]));
    let message = |kind, value: &Value| Message {
        destination: Destination::Server,
        kind,
        pool: Uuid::new_v4(),
        pipeline: Uuid::nil(),
        body: clixml::write(value),
    };
    let early = message(MessageType::InitRunspacePool, &Value::Null);
    assert!(matches!(server.receive(&early), Err(ProtocolError::Unexpected { .. })));
    let future = SessionCapability { protocol: Protocol { major: 3, minor: 0 } };
    let refused = server.receive(&message(MessageType::SessionCapability, &future.to_value())).unwrap_err();
    assert_eq!(refused.to_string(), "unsupported protocol version 3.0");
    let none = message(MessageType::SessionCapability, &Value::with_properties::<String>([]));
    assert!(matches!(server.receive(&none), Err(ProtocolError::Missing { .. })));
    let broken = Message { body: "<Obj>".into(), ..message(MessageType::SessionCapability, &Value::Null) };
    assert!(matches!(server.receive(&broken), Err(ProtocolError::Clixml(_))));
}

#[test]
fn peers_of_different_versions_use_the_lower_protocol() {
    for (client, server, spoken) in [
        (Protocol::V2_3, Protocol { major: 2, minor: 2 }, Protocol { major: 2, minor: 2 }),
        (Protocol::V2_3, Protocol::V2_4, Protocol::V2_3),
        (Protocol::V2_4, Protocol::V2_3, Protocol::V2_3),
        (Protocol::V2_4, Protocol::V2_4, Protocol::V2_4),
    ] {
        let mut pair = Pair::between(client, server);
        assert_eq!((pair.client.protocol(), pair.server.protocol()), (spoken, spoken));
        let id = pair.client.create_pipeline(&Pipeline { no_input: false, ..Pipeline::new(vec![]) });
        pair.client.input(id, &secret("hunter2"));
        pair.exchange();
        assert!(pair.server_events.contains(&server::ServerEvent::Input(id, secret("hunter2"))));
        // Only 2.4 has no key.
        assert_eq!(pair.went.contains(&MessageType::PublicKey), spoken != Protocol::V2_4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damaged_powershell_messages_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        which in any::<prop::sample::Index>(),
    ) {
        let said: Vec<_> = messages("streams").into_iter().map(|said| said.bytes).collect();
        let mut bytes = which.get(&said).clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(message) = Message::decode(&bytes) {
            let mut pair = Pair::open();
            pair.client.adopt(message.pipeline);
            let _ = (pair.client.receive(&message), pair.server.receive(&message));
        }
    }
}
