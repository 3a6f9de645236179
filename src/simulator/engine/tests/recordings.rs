//! Replays of recordings of a real restricted endpoint: runs the recorded requests and compares the answers.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use uuid::Uuid;

use super::*;
use crate::psrp::clixml::{self, Object};
use crate::psrp::fragment::Defragmenter;
use crate::psrp::host::{HostCall, HostException};
use crate::psrp::message::{Message, MessageType};
use crate::psrp::pipeline::MetadataQuery;
use crate::psrp::pool::Protocol;
use crate::psrp::record::{ErrorRecord, PipelineState};
use crate::psrp::server::{ServerEvent, ServerPool};

/// A recorded pipeline.
#[derive(Default)]
struct Recorded {
    pipeline: Option<Pipeline>,
    metadata: Option<MetadataQuery>,
    input: Vec<Value>,
    answers: Vec<Result<Option<Value>, HostException>>,
    messages: Vec<(MessageType, Value)>,
}

struct Recording {
    host: HostInfo,
    pipelines: Vec<Recorded>,
}

fn messages(name: &str) -> Vec<(bool, Message)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(format!("{name}.jsonl"));
    let mut streams: HashMap<(bool, String, bool), Defragmenter> = HashMap::new();
    let mut all = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let client = row["from"] == "client";
        let element = row["line"].as_str().unwrap();
        let Some((_, rest)) = element.split_once("<Data ") else { continue };
        let id = rest.split("PSGuid='").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        let body = rest.split_once('>').unwrap().1.split('<').next().unwrap();
        let stream = (client, id, rest.contains("PromptResponse"));
        let bytes = BASE64_STANDARD.decode(body).unwrap();
        for whole in streams.entry(stream).or_default().push(&bytes).unwrap() {
            all.push((client, Message::decode(&whole).unwrap()));
        }
    }
    all
}

fn recording(name: &str) -> Recording {
    let mut pool = ServerPool::new(Value::Null).with_protocol(Protocol::V2_4);
    let mut pool_host = None;
    let mut order: Vec<Uuid> = Vec::new();
    let mut all: HashMap<Uuid, Recorded> = HashMap::new();
    for (client, message) in messages(name) {
        if !client {
            if !message.pipeline.is_nil() {
                let value = clixml::read(&message.body).unwrap();
                all.entry(message.pipeline).or_default().messages.push((message.kind, value));
            }
            continue;
        }
        for event in pool.receive(&message).unwrap() {
            match event {
                ServerEvent::Open { host, .. } => {
                    pool_host = Some(host);
                    pool.opened();
                }
                ServerEvent::CreatePipeline(id, pipeline) => {
                    order.push(id);
                    all.entry(id).or_default().pipeline = Some(pipeline);
                }
                ServerEvent::CommandMetadata(id, query) => {
                    order.push(id);
                    all.entry(id).or_default().metadata = Some(query);
                }
                ServerEvent::Input(id, value) => all.entry(id).or_default().input.push(value),
                ServerEvent::HostResponse(Some(id), response) => {
                    all.entry(id).or_default().answers.push(response.result);
                }
                _ => {}
            }
        }
        pool.take_outgoing();
    }
    let pipelines = order.into_iter().map(|id| all.remove(&id).unwrap()).collect();
    Recording { host: pool_host.unwrap(), pipelines }
}

/// Formats the compared parts of a message as one line.
fn shown(kind: MessageType, value: &Value) -> String {
    match kind {
        MessageType::PipelineOutput => format!("output {:?}", plain(value)),
        MessageType::ErrorRecord => format!("error {}", shown_error(&ErrorRecord::read(value))),
        MessageType::PipelineState => {
            let (state, error) = PipelineState::read(value).unwrap();
            format!("state {state:?} {}", error.map(|error| shown_error(&error)).unwrap_or_default())
        }
        MessageType::PipelineHostCall => {
            let call = HostCall::read(value).unwrap();
            shown_call(call.method, &call.parameters)
        }
        MessageType::InformationRecord => {
            let record = crate::psrp::record::InformationRecord::read(value);
            format!("information {:?} {} {:?}", plain(&record.message), record.source, record.tags)
        }
        _ => format!("{kind:?} {}", value.display_text()),
    }
}

/// Formats a host call. WriteProgress begins with a counter of the runspace's progress sources, left out
/// here.
fn shown_call(method: HostMethod, parameters: &[Value]) -> String {
    let counted = usize::from(method == HostMethod::WriteProgress);
    let parameters: Vec<_> = parameters.iter().skip(counted).map(plain).collect();
    format!("host {method:?} {parameters:?}")
}

fn shown_error(error: &ErrorRecord) -> String {
    let exception = error.value.property("Exception").map(Value::type_names).unwrap_or_default();
    format!(
        "{} | {} | {} | {:?} | {:?} | {:?} | {exception:?}",
        error.message,
        error.fully_qualified_id,
        error.category_message,
        error.target,
        error.details,
        error.recommended_action
    )
}

/// Removes values that differ between runs.
fn plain(value: &Value) -> Value {
    let Value::Object(object) = value else { return value.clone() };
    let keep = |(name, value): &(clixml::Name, Value)| match name.as_ref() {
        "InstanceId" | "ScriptBlock" | "Definition" => None,
        _ => Some((name.clone(), plain(value))),
    };
    let content = match &object.content {
        clixml::Content::List(items) => clixml::Content::List(items.iter().map(plain).collect()),
        clixml::Content::Dictionary(entries) => clixml::Content::Dictionary(
            entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        ),
        other => other.clone(),
    };
    Value::Object(Arc::new(Object {
        type_names: object.type_names.clone(),
        to_string: object.to_string.clone(),
        content,
        adapted: object.adapted.iter().filter_map(keep).collect(),
        extended: object.extended.iter().filter_map(keep).collect(),
    }))
}

fn ours(run: &Run) -> Vec<String> {
    let mut all: Vec<_> = run
        .events
        .iter()
        .map(|event| match event {
            PipelineOutput::Output(value) => shown(MessageType::PipelineOutput, value),
            PipelineOutput::Error(record) => format!("error {}", shown_error(record)),
            PipelineOutput::Text(kind, message) => format!("{kind:?} {message}"),
            PipelineOutput::Progress(record) => shown(MessageType::ProgressRecord, &record.to_value()),
            PipelineOutput::Information(record) => shown(MessageType::InformationRecord, &record.to_value()),
            PipelineOutput::HostCall { method, parameters, .. } => shown_call(*method, parameters),
        })
        .collect();
    all.push(match &run.outcome {
        Outcome::Completed => "state Completed ".into(),
        Outcome::Stopped => format!("state Stopped {}", shown_error(&super::super::stopped_record())),
        Outcome::Failed(record) => format!("state Failed {}", shown_error(record)),
    });
    all
}

/// Shows two texts from their first difference.
fn difference(ours: &str, expected: &str) -> String {
    let same = ours.chars().zip(expected.chars()).take_while(|(one, other)| one == other).count();
    let from = |text: &str| text.chars().skip(same.saturating_sub(60)).take(400).collect::<String>();
    format!("\nours:     {}\nrecorded: {}", from(ours), from(expected))
}

/// Runs every pipeline of a recording, except the named ones, and compares.
async fn replay(name: &str, except: &[&str]) {
    let world = world(true);
    let recording = recording(name);
    let mut compared = 0;
    for recorded in recording.pipelines {
        let expected: Vec<_> = recorded.messages.iter().map(|(kind, value)| shown(*kind, value)).collect();
        if let Some(query) = recorded.metadata {
            compare_metadata(&world.metadata(&query), &recorded.messages);
            continue;
        }
        let pipeline = recorded.pipeline.unwrap();
        let names: Vec<_> = pipeline.commands.iter().map(|command| command.name.clone()).collect();
        if except.contains(&names.join(" | ").as_str()) {
            continue;
        }
        let host = pipeline.host.clone().unwrap_or_else(|| recording.host.clone());
        let run = run_with(&world, pipeline, recorded.input, recorded.answers, host).await;
        let actual = ours(&run);
        for (ours, expected) in actual.iter().zip(&expected) {
            assert!(ours == expected, "{name}: {names:?}{}", difference(ours, expected));
        }
        assert_eq!(actual.len(), expected.len(), "{name}: {names:?}: {actual:#?}\n{expected:#?}");
        compared += 1;
    }
    assert!(compared > 0, "{name} has pipelines");
}

/// Compares command metadata by property. The recorded endpoint also had Csv cmdlets, which Lync Online does
/// not offer.
fn compare_metadata(ours: &[Value], recorded: &[(MessageType, Value)]) {
    let outputs: Vec<_> = recorded
        .iter()
        .filter(|(kind, _)| *kind == MessageType::PipelineOutput)
        .map(|(_, value)| value)
        .collect();
    assert_eq!(ours[0].type_names(), outputs[0].type_names());
    assert_eq!(ours[0].property("Count"), Some(&Value::I32(ours.len() as i32 - 1)));
    for theirs in &outputs[1..] {
        if theirs.property("Namespace").map(Value::display_text).as_deref()
            == Some("Microsoft.PowerShell.Utility")
        {
            continue;
        }
        let name = theirs.property("Name").unwrap();
        let same = ours.iter().find(|ours| ours.property("Name") == Some(name));
        assert_eq!(same, Some(*theirs), "{}", name.display_text());
    }
}

/// Formats the structure of an object without values: type names and properties, recursively.
fn shape(value: &Value) -> String {
    let Value::Object(object) = value else {
        return match value {
            // A command without help has a null in place of a text.
            Value::Null => "text".into(),
            Value::String(_) => "text".into(),
            other => format!("{:?}", std::mem::discriminant(other)),
        };
    };
    let named = |(name, value): &(clixml::Name, Value)| format!("{name}: {}", shape(value));
    let properties = object.adapted.iter().chain(&object.extended).map(named).collect::<Vec<_>>();
    let content = match &object.content {
        clixml::Content::Dictionary(entries) => {
            let first = entries.first().map(|(key, value)| format!("{} = {}", shape(key), shape(value)));
            first.unwrap_or_default()
        }
        other => format!("{:?}", std::mem::discriminant(other)),
    };
    format!("{:?} [{}] {{{content}}}", object.type_names, properties.join(", "))
}

/// The recorded cmdlets are not simulated, so only the structure is compared.
#[test]
fn a_cmdlets_metadata_has_the_recorded_structure() {
    let recorded = recording("import").pipelines.into_iter().find(|one| one.metadata.is_some()).unwrap();
    let is_cmdlet = |value: &&Value| value.type_names()[0].ends_with(".CmdletInfo");
    let theirs = recorded.messages.iter().map(|(_, value)| value).find(is_cmdlet).expect("a recorded cmdlet");
    let ours = world(false).metadata(&recorded.metadata.unwrap());
    let cmdlets: Vec<_> = ours.iter().filter(is_cmdlet).collect();
    assert!(cmdlets.len() > 30);
    for ours in cmdlets {
        let name = ours.property("Name").unwrap().display_text();
        let (ours, theirs) = (shape(ours), shape(theirs));
        assert!(ours == theirs, "{name}{}", difference(&ours, &theirs));
    }
}

#[tokio::test]
async fn recorded_import_is_reproduced() {
    replay("import", &[]).await;
}

#[tokio::test]
async fn recorded_streams_are_reproduced() {
    replay("streams", &[]).await;
}

#[tokio::test]
async fn recorded_prompts_are_reproduced() {
    replay("prompts", &[]).await;
}

#[tokio::test]
async fn recorded_help_is_reproduced() {
    replay("help", &[]).await;
}

#[tokio::test]
async fn recorded_large_transfers_are_reproduced() {
    replay("large", &[]).await;
    replay("large-input", &[]).await;
}

#[tokio::test]
async fn recorded_secrets_are_reproduced() {
    replay("securestring-2.4", &[]).await;
}

#[tokio::test]
async fn command_objects_match_the_recording() {
    let world = world(true);
    let recording = recording("console-style");
    let recorded = recording
        .pipelines
        .iter()
        .find(|recorded| {
            recorded.pipeline.as_ref().is_some_and(|pipeline| pipeline.commands[0].name == "Get-Command")
        })
        .unwrap();
    let run = run(&world, "Get-Command Get-CsTenant").await;
    assert_eq!(plain(run.output()[0]), plain(&recorded.messages[0].1));
    let listed = super::run(&world, "Get-Command -Name *-Cs* | Select-Object -Property Name").await;
    for name in ["Get-CsBig", "Get-CsTenant", "Wait-Cs"] {
        assert!(listed.all("Name").iter().any(|listed| listed == name));
    }
    assert_eq!(listed.output()[0].type_names()[0], "Selected.System.Management.Automation.FunctionInfo");
}

#[tokio::test]
async fn a_running_command_is_stopped() {
    let recorded = recording("stop").pipelines.remove(0);
    let (sender, mut receiver) = mpsc::channel(1);
    let (_, input) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let world = world(true);
    let context = Context {
        user: "admin@litwareinc.com".into(),
        host: host(80),
        input,
        output: sender,
        stop: stop.clone(),
    };
    let running = tokio::spawn(async move { world.run(recorded.pipeline.unwrap(), context).await });
    let mut all = Vec::new();
    while let Some(one) = receiver.recv().await {
        all.push(one);
        if all.len() == recorded.messages.len() - 1 {
            stop.cancel();
            break;
        }
    }
    let run = Run { events: all, outcome: running.await.unwrap() };
    let expected: Vec<_> = recorded.messages.iter().map(|(kind, value)| shown(*kind, value)).collect();
    assert_eq!(ours(&run), expected);
}
