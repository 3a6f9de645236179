//! What the agent reads and changes in the bodies of messages that pass through it. Everything else
//! goes through as it came.

use std::sync::Arc;

use crate::psrp::clixml::{Content, Object, ReadError, Value, read, write};

/// What APPLICATION_PRIVATE_DATA says about the debugger. A client that sees them runs
/// `__Set-PSDebugMode` and its kin on the endpoint before the person does anything.
const DEBUGGER_KEYS: [&str; 5] =
    ["DebugMode", "DebugStop", "DebugBreakpointCount", "UnhandledBreakpointMode", "BreakAll"];

/// A pipeline that a client starts.
pub struct Start {
    /// The body to send on.
    pub body: String,
    /// The commands' names, as a person would say what runs.
    pub command: String,
    /// Whether it runs inside another pipeline, and so needs no runspace of its own.
    pub nested: bool,
}

/// Reads CREATE_PIPELINE. Where the pool's host is to be used, the client's own host data takes its
/// place: the remote pool's host is the agent's.
pub fn create_pipeline(body: String, host: &Value) -> Result<Start, ReadError> {
    let value = read(&body)?;
    let command = command_names(&value);
    let nested = matches!(extended(&value, "IsNested"), Some(Value::Bool(true)));
    let uses_pool_host = extended(&value, "HostInfo")
        .and_then(|host| extended(host, "_useRunspaceHost"))
        .is_some_and(|uses| *uses == Value::Bool(true));
    let body = match value {
        Value::Object(object) if uses_pool_host => write(&with_host(&object, host)),
        _ => body,
    };
    Ok(Start { body, command, nested })
}

fn with_host(object: &Arc<Object>, host: &Value) -> Value {
    let mut object = Object::clone(object);
    for (name, value) in &mut object.extended {
        if name == "HostInfo" {
            *value = host.clone();
        }
    }
    Value::Object(Arc::new(object))
}

fn command_names(create_pipeline: &Value) -> String {
    let commands = extended(create_pipeline, "PowerShell").and_then(|shell| extended(shell, "Cmds"));
    let Some(Value::Object(commands)) = commands else { return "a command".into() };
    let Content::List(commands) = &commands.content else { return "a command".into() };
    let name = |command: &Value| match (extended(command, "IsScript"), extended(command, "Cmd")) {
        (Some(Value::Bool(true)), _) => Some("a script".to_owned()),
        // A name is a name, however long a peer makes it.
        (_, Some(Value::String(name))) => Some(name.chars().take(80).collect()),
        _ => None,
    };
    let names: Vec<String> = commands.iter().take(4).filter_map(name).collect();
    names.join(" | ")
}

/// The host data that a client sent with INIT_RUNSPACEPOOL.
pub fn host_of_pool(init_runspace_pool: &str) -> Result<Value, ReadError> {
    let value = read(init_runspace_pool)?;
    Ok(extended(&value, "HostInfo").cloned().unwrap_or(Value::Null))
}

/// The remote side's private data as clients are told it.
pub fn without_debugger(private_data: &Value) -> Value {
    let Value::Object(object) = private_data else { return private_data.clone() };
    let mut object = Object::clone(object);
    if let Content::Dictionary(entries) = &mut object.content {
        entries
            .retain(|(key, _)| !matches!(key, Value::String(key) if DEBUGGER_KEYS.contains(&key.as_str())));
    }
    Value::Object(Arc::new(object))
}

/// Whether a body holds a SecureString. `<` stands for itself nowhere else in CLIXML.
pub fn has_secret(body: &str) -> bool {
    body.contains("<SS")
}

/// One text property of a body: PUBLIC_KEY's and ENCRYPTED_SESSION_KEY's.
pub fn text_property(body: &str, name: &str) -> Option<String> {
    match extended(&read(body).ok()?, name)? {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// One whole-number property of a body: a state, or a call's id.
pub fn number_property(body: &str, name: &str) -> Option<i64> {
    match extended(&read(body).ok()?, name)? {
        Value::I32(number) => Some(i64::from(*number)),
        Value::I64(number) => Some(*number),
        _ => None,
    }
}

/// A body with properties and nothing else.
pub fn body_of(properties: Vec<(&str, Value)>) -> String {
    let extended = properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    write(&Value::Object(Arc::new(Object { extended, ..Object::default() })))
}

fn extended<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Object(object) = value else { return None };
    object.extended.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
