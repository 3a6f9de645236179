//! Recordings of real PowerShell, read and written with the protocol's types.

use lyncsh::psrp::clixml::{self, Value};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::host::{HostCall, HostException, HostMethod, HostResponse};
use lyncsh::psrp::message::{Destination, MessageType};
use lyncsh::psrp::pipeline::{MetadataQuery, Pipeline};
use lyncsh::psrp::pool::{InitRunspacePool, SessionCapability};
use lyncsh::psrp::record::{ErrorRecord, InformationRecord, PipelineState, ProgressRecord, TextRecord};

use crate::psrp_recordings::{RecordedMessage, all, bodies, messages};

#[test]
fn every_recorded_message_round_trips() {
    let (mut count, mut cycles) = (0, 0);
    for (recording, RecordedMessage { by_client, bytes, message }) in all() {
        count += 1;
        assert_eq!(message.destination == Destination::Server, *by_client);
        assert_eq!(message.encode(), *bytes, "{recording} {:?}", message.kind);
        if message.body.is_empty() {
            assert_eq!(message.kind, MessageType::EndOfPipelineInput);
            continue;
        }
        let value = clixml::read(&message.body).unwrap();
        let written = clixml::write(&value);
        assert_eq!(clixml::read(&written).unwrap(), value, "{recording} {:?}", message.kind);
        if written != message.body {
            // Exceptions that contain their own record: the cycle is replaced with null.
            let cut =
                message.body.replacen("<Ref N=\"Exception\" RefId=\"1\" />", "<Nil N=\"Exception\" />", 1);
            assert_eq!(written, cut, "{recording} {:?}", message.kind);
            cycles += 1;
        }
    }
    assert_eq!((count, cycles), (896, 2));
}

#[test]
fn recorded_messages_survive_any_fragment_size() {
    for recorded in messages("large-input") {
        for size in [1, 7, 1000, 32_747, usize::MAX] {
            let stream = Fragmenter::default().cut(&recorded.bytes, size).concat();
            let mut defragmenter = Defragmenter::default();
            let joined: Vec<_> =
                stream.chunks(size.min(32_768)).flat_map(|piece| defragmenter.push(piece).unwrap()).collect();
            assert_eq!(joined, std::slice::from_ref(&recorded.bytes));
        }
    }
}

#[test]
fn recorded_pool_messages_round_trip() {
    for body in bodies(MessageType::SessionCapability) {
        assert_eq!(SessionCapability::read(&body).unwrap().to_value(), body);
    }
    for body in bodies(MessageType::InitRunspacePool) {
        let init = InitRunspacePool::read(&body).unwrap();
        assert_eq!((init.min_runspaces, init.max_runspaces), (1, 1));
        assert!(!init.host.is_null);
        assert_eq!(init.to_value(), body);
    }
    for body in bodies(MessageType::GetCommandMetadata) {
        let query = MetadataQuery::read(&body).unwrap();
        assert_eq!(query.command_type, 271);
        assert_eq!(MetadataQuery::read(&query.to_value()).unwrap(), query);
        assert_eq!(query.to_value().property("CommandType"), body.property("CommandType"));
        assert_eq!(query.to_value().property("Name"), body.property("Name"));
    }
    for body in bodies(MessageType::CreatePipeline) {
        let pipeline = Pipeline::read(&body).unwrap();
        let written = pipeline.to_value();
        assert_eq!(Pipeline::read(&written).unwrap(), pipeline);
        assert_eq!(shape(&written), shape(&body));
        for name in ["NoInput", "AddToHistory", "HostInfo", "IsNested", "ApartmentState"] {
            assert_eq!(written.property(name), body.property(name), "{name}");
        }
    }
}

/// Returns the names of a CREATE_PIPELINE's properties and of its commands' properties.
fn shape(value: &Value) -> Vec<String> {
    let names = |value: &Value| -> Vec<String> {
        value.as_object().unwrap().properties().map(|(name, _)| name.to_owned()).collect()
    };
    let powershell = value.property("PowerShell").unwrap();
    let commands = powershell.property("Cmds").unwrap().items().unwrap();
    [names(value), names(powershell), commands.iter().flat_map(names).collect()].concat()
}

#[test]
fn proxied_and_typed_arguments_are_equivalent() {
    let (mut proxied, mut typed) = (0, 0);
    for body in bodies(MessageType::CreatePipeline) {
        for command in Pipeline::read(&body).unwrap().commands {
            for argument in &command.arguments {
                let Some(name) = &argument.name else { continue };
                assert!(name.chars().all(char::is_alphanumeric), "{name}");
                match (name.as_str(), &argument.value) {
                    ("PolicyName", Some(value)) => {
                        assert_eq!(value.as_str(), Some("Gold"));
                        proxied += 1;
                    }
                    ("Confirm", None) => typed += 1,
                    _ => {}
                }
            }
        }
    }
    assert_eq!((proxied, typed), (1, 1));
}

#[test]
fn recorded_host_calls_and_answers_round_trip() {
    let mut asked = Vec::new();
    for body in bodies(MessageType::PipelineHostCall) {
        let call = HostCall::read(&body).unwrap();
        assert_eq!(call.wants_answer(), call.method.wants_answer(), "{:?}", call.method);
        assert_eq!(call.to_value(), body);
        if call.wants_answer() {
            asked.push((call.call_id, call.method));
        }
    }
    let mut answered = Vec::new();
    for body in bodies(MessageType::PipelineHostResponse) {
        let response = HostResponse::read(&body).unwrap();
        assert_eq!(response.to_value(), body);
        answered.push((response.call_id, response.method));
    }
    assert_eq!(answered, asked);

    let refused =
        HostResponse { call_id: 3, method: HostMethod::ReadLine, result: Err(HostException("no".into())) };
    assert_eq!(HostResponse::read(&refused.to_value()).unwrap(), refused);
}

#[test]
fn recorded_stream_records_round_trip() {
    for kind in [MessageType::WarningRecord, MessageType::VerboseRecord, MessageType::DebugRecord] {
        for body in bodies(kind) {
            let record = TextRecord::read(&body);
            assert!(["careful", "wordy", "deep"].contains(&record.message.as_str()));
            // A record with its invocation sets the flag.
            if body.property("InformationalRecord_SerializeInvocationInfo") == Some(&false.into()) {
                assert_eq!(record.to_value(kind), body);
            }
        }
    }
    for body in bodies(MessageType::ProgressRecord) {
        assert_eq!(ProgressRecord::read(&body).to_value(), body);
    }
    for body in bodies(MessageType::InformationRecord) {
        let record = InformationRecord::read(&body);
        assert!(["info", "hosted"].contains(&record.message.display_text().as_str()));
        let written = record.to_value();
        assert_eq!(names(&written), names(&body));
        assert_eq!(InformationRecord::read(&written), record);
    }
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().properties().map(|(name, _)| name).collect()
}

#[test]
fn recorded_error_records_are_read_and_written() {
    for (recording, recorded) in all() {
        let record = match recorded.message.kind {
            MessageType::ErrorRecord => {
                Some(Box::new(ErrorRecord::read(&clixml::read(&recorded.message.body).unwrap())))
            }
            MessageType::PipelineState => {
                PipelineState::read(&clixml::read(&recorded.message.body).unwrap()).unwrap().1
            }
            _ => None,
        };
        let Some(record) = record else { continue };
        assert_eq!(record.to_value(), record.value, "a received record is returned unchanged");

        // The same record created locally has all of PowerShell's properties except traces of scripts.
        let mut made = ErrorRecord { value: Value::Null, ..(*record).clone() };
        let written = made.to_value();
        let theirs: Vec<_> = names(&record.value)
            .into_iter()
            .filter(|name| !["PSMessageDetails", "ErrorDetails_ScriptStackTrace"].contains(name))
            .collect();
        assert_eq!(names(&written), theirs, "{recording}");
        assert_eq!(written.type_names(), record.value.type_names());
        let (ours, theirs) =
            (written.property("Exception").unwrap(), record.value.property("Exception").unwrap());
        assert_eq!(ours.type_names(), theirs.type_names());
        for name in ["FullyQualifiedErrorId", "TargetObject", "ErrorCategory_Message"] {
            assert_eq!(written.property(name), record.value.property(name));
        }
        assert_eq!(written.display_text(), record.value.display_text());
        assert_eq!(ErrorRecord { value: Value::Null, ..ErrorRecord::read(&written) }, made);

        let message = made.category_message.clone();
        made.set_category(made.category);
        if made.category_target_name.is_empty() || made.category_target_type == "String" {
            assert_eq!(made.category_message, message);
        }
    }
}
