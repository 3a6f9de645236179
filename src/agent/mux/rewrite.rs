//! Reads and rewrites the bodies of certain messages that pass through the agent. All other bodies are passed
//! unchanged.

use std::sync::Arc;

use crate::psrp::clixml::{Content, Object, ReadError, Value, read, write};
use crate::psrp::pipeline::{BACKGROUND, INTERNAL};
use crate::screen::clean_line;

/// Debugger entries of APPLICATION_PRIVATE_DATA. A client that receives them runs `__Set-PSDebugMode` and
/// similar commands on the endpoint before the user does anything.
const DEBUGGER_KEYS: [&str; 5] =
    ["DebugMode", "DebugStop", "DebugBreakpointCount", "UnhandledBreakpointMode", "BreakAll"];

/// A client's new pipeline.
pub struct Start {
    /// The body to forward.
    pub body: String,
    /// The commands' names for display.
    pub command: String,
    /// Whether the pipeline is nested in another pipeline and needs no runspace.
    pub nested: bool,
    /// Whether the pipeline runs only while the session is idle.
    pub background: bool,
    /// Whether the pipeline is lyncsh's own.
    pub internal: bool,
}

/// Reads CREATE_PIPELINE. If the pipeline uses the pool's host, inserts the client's own host data: the
/// remote pool's host is the agent's.
pub fn create_pipeline(body: String, host: &Value) -> Result<Start, ReadError> {
    let value = read(&body)?;
    let command = command_names(&value);
    let is_true = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(true);
    let nested = is_true(value.property("IsNested"));
    let uses_pool_host =
        is_true(value.property("HostInfo").and_then(|host| host.property("_useRunspaceHost")));
    let background = is_true(value.property(BACKGROUND));
    let internal = is_true(value.property(INTERNAL));
    let body = match value {
        Value::Object(object) if uses_pool_host || background || internal => {
            let mut object = Object::clone(&object);
            // Private properties between lyncsh and its agent.
            object.extended.retain(|(name, _)| **name != *BACKGROUND && **name != *INTERNAL);
            write(&if uses_pool_host { with_host(object, host) } else { object.into() })
        }
        _ => body,
    };
    Ok(Start { body, command, nested, background, internal })
}

fn with_host(mut object: Object, host: &Value) -> Value {
    for (name, value) in &mut object.extended {
        if **name == *"HostInfo" {
            *value = host.clone();
        }
    }
    Value::Object(Arc::new(object))
}

fn command_names(create_pipeline: &Value) -> String {
    let name = |command: &Value| match command.property("IsScript").and_then(Value::as_bool) {
        Some(true) => Some("a script".to_owned()),
        // A peer may send a name of any length.
        _ => Some(
            clean_line(&command.property("Cmd")?.as_str()?.chars().take(80).collect::<String>())
                .into_string(),
        ),
    };
    let commands = create_pipeline.property("PowerShell").and_then(|shell| shell.property("Cmds"));
    let commands = commands.and_then(Value::items).unwrap_or_default();
    let names: Vec<String> = commands.iter().take(4).filter_map(name).collect();
    // Hides the Out-Default that a shell adds.
    let shown = match names.as_slice() {
        [first @ .., last] if !first.is_empty() && last.eq_ignore_ascii_case("Out-Default") => first,
        all => all,
    };
    if shown.is_empty() { "a command".into() } else { shown.join(" | ") }
}

/// Returns the host data of a client's INIT_RUNSPACEPOOL.
pub fn host_of_pool(init_runspace_pool: &str) -> Result<Value, ReadError> {
    let value = read(init_runspace_pool)?;
    Ok(value.property("HostInfo").cloned().unwrap_or(Value::Null))
}

/// Returns the endpoint's private data without the debugger entries.
pub fn without_debugger(private_data: &Value) -> Value {
    let Value::Object(object) = private_data else { return private_data.clone() };
    let mut object = Object::clone(object);
    if let Content::Dictionary(entries) = &mut object.content {
        entries
            .retain(|(key, _)| !matches!(key, Value::String(key) if DEBUGGER_KEYS.contains(&key.as_str())));
    }
    Value::Object(Arc::new(object))
}

/// Returns whether a body contains a SecureString. In CLIXML, a literal `<` only begins a tag.
pub fn has_secret(body: &str) -> bool {
    body.contains("<SS")
}

/// Returns one text property of a body: of PUBLIC_KEY or ENCRYPTED_SESSION_KEY.
pub fn text_property(body: &str, name: &str) -> Option<String> {
    Some(read(body).ok()?.property(name)?.as_str()?.to_owned())
}

/// Returns one integer property of a body: a state or a call id.
pub fn number_property(body: &str, name: &str) -> Option<i64> {
    read(body).ok()?.property(name)?.as_i64()
}

/// Returns a body that contains only properties.
pub fn body_of(properties: Vec<(&str, Value)>) -> String {
    write(&Value::with_properties(properties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psrp::client::Stream;
    use crate::psrp::fragment::Defragmenter;
    use crate::psrp::message::{Message, MessageType};
    use crate::transport::stream::Element;

    /// Returns every message that the client of a recording sent on `Default`.
    fn client_messages(recording: &str) -> Vec<Message> {
        let path = format!("{}/tests/transcripts/{recording}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let mut streams = std::collections::HashMap::<_, Defragmenter>::new();
        let mut messages = Vec::new();
        for row in std::fs::read_to_string(path).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            let element = Element::parse(row["line"].as_str().unwrap());
            if let (Some("client"), Ok(Element::Data { stream: Stream::Default, id, bytes })) =
                (row["from"].as_str(), element)
            {
                let whole = streams.entry(id).or_default().push(&bytes).unwrap();
                messages.extend(whole.iter().map(|message| Message::decode(message).unwrap()));
            }
        }
        messages
    }

    #[test]
    fn a_pool_host_is_replaced_by_the_shells_host() {
        let messages = client_messages("enter-pssession");
        let init = messages.iter().find(|m| m.kind == MessageType::InitRunspacePool).unwrap();
        let host = host_of_pool(&init.body).unwrap();
        assert!(host.property("_hostDefaultData").is_some());
        let mut rewritten = 0;
        for message in messages.iter().filter(|m| m.kind == MessageType::CreatePipeline) {
            let before = read(&message.body).unwrap();
            let start = create_pipeline(message.body.clone(), &host).unwrap();
            let after = read(&start.body).unwrap();
            assert_eq!(after.property("PowerShell"), before.property("PowerShell"));
            assert_eq!(after.property("NoInput"), before.property("NoInput"));
            assert!(!start.nested);
            if before != after {
                assert_eq!(after.property("HostInfo"), Some(&host));
                rewritten += 1;
            }
        }
        assert!(rewritten > 5, "{rewritten}");
    }

    #[test]
    fn a_pipelines_name_lists_its_commands() {
        let messages = client_messages("console-style");
        let names: Vec<_> = messages
            .iter()
            .filter(|m| m.kind == MessageType::CreatePipeline)
            .map(|m| create_pipeline(m.body.clone(), &Value::Null).unwrap().command)
            .collect();
        assert!(names.iter().any(|name| name.starts_with("Get-Cs")), "{names:?}");
        assert!(names.iter().all(|name| !name.ends_with("| Out-Default")), "{names:?}");
    }

    #[test]
    fn debugger_entries_are_removed_from_application_data() {
        let entry = |key: &str| (Value::string(key), Value::I32(1));
        let data =
            Value::primitive_dictionary([entry("DebugMode"), entry("PSVersionTable"), entry("BreakAll")]);
        let filtered = without_debugger(&data);
        assert_eq!(filtered.entries().unwrap(), [entry("PSVersionTable")]);
    }

    #[test]
    fn only_secure_string_elements_count_as_secrets() {
        assert!(has_secret("<Obj><MS><SS N=\"Pin\">AAAA</SS></MS></Obj>"));
        let text = write(&Value::string("<SS>no secret</SS>"));
        assert!(!has_secret(&text), "{text}");
    }
}
