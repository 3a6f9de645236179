//! Any bytes parse to a message or an error; both ends of a pool process any message without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyncsh::psrp::client::ClientPool;
use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::host::HostInfo;
use lyncsh::psrp::message::Message;
use lyncsh::psrp::pool::Protocol;
use lyncsh::psrp::server::ServerPool;
use uuid::Uuid;

fuzz_target!(|inputs: Vec<&[u8]>| {
    let mut client =
        ClientPool::new(Uuid::from_u128(1), HostInfo::default(), (1, 1)).with_protocol(Protocol::V2_4);
    client.open();
    let mut server = ServerPool::new(Value::Null).with_protocol(Protocol::V2_4);
    for out in client.take_outgoing() {
        let _ = server.receive(&out.message);
    }
    server.opened();
    for message in server.take_outgoing() {
        let _ = client.receive(&message);
    }
    assert_eq!(client.protocol(), Protocol::V2_4);
    for input in inputs {
        let Ok(message) = Message::decode(input) else { continue };
        assert_eq!(Message::decode(&message.encode()).expect("a written message can be read"), message);
        client.adopt(message.pipeline);
        let _ = (client.receive(&message), server.receive(&message));
        let _ = (client.take_outgoing(), server.take_outgoing());
    }
});
