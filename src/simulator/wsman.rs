//! WSMan requests and answers as WinRM handles them.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response as HttpResponse};
use uuid::Uuid;

use super::endpoint::{Account, Endpoint};
use super::options::TenantFault;
use super::pool::TakeError;
use super::shell::{Opening, Polled, Shell};
use super::{check, omi};
use crate::transport::wsman::envelope::identify::{Identity, is_identify};
use crate::transport::wsman::envelope::{
    COMMAND_RESOURCE, CommandInfo, CommandState, Create, DEFAULT_MAX_ENVELOPE_SIZE, Enumerate, Items,
    MEDIA_TYPE, Reason, Received, RequestEnvelope, RequestHeader, Response, ResponseEnvelope, ShellInfo,
    SignalCode, StreamPart, WsmanRequest, ns,
};
use crate::transport::wsman::fault::{Fault, FaultDialect, MUST_UNDERSTAND, code};

/// Path of the endpoint with password authentication.
pub const LIVE_ID: &str = "/OcsPowershellLiveId";
/// Maximum envelope size in kilobytes, WinRM's default.
const MAX_ENVELOPE_SIZE: u32 = 500;
/// Maximum envelope size in bytes.
pub const MAX_ENVELOPE: usize = 1024 * MAX_ENVELOPE_SIZE as usize;
/// Computer name in faults.
const MACHINE: &str = "localhost";
/// WSManFault codes (`wsmerror.h`).
const INVALID_PARAMETER: u32 = 2_150_858_810;
const ACTION_NOT_SUPPORTED: u32 = 2_150_858_753;
const SCHEMA: u32 = 2_150_858_817;
const INVALID_XML: u32 = 2_150_858_819;
const UNSUPPORTED: u32 = 2_150_858_818;
const ALREADY_EXISTS: u32 = 2_150_858_803;
/// The provider's process has ended (ERROR_OPERATION_ABORTED).
const PROVIDER_GONE: u32 = 995;

/// Answers one request.
pub async fn answer(endpoint: &Arc<Endpoint>, account: &Account, body: &[u8]) -> HttpResponse {
    if is_identify(body) {
        // Identification of Windows Server 2019.
        let (vendor, version) = ("Microsoft Corporation", "OS: 10.0.17763 SP: 0.0 Stack: 3.0");
        let identity = Identity { vendor: vendor.into(), version: version.into() };
        return (StatusCode::OK, [(header::CONTENT_TYPE, MEDIA_TYPE)], identity.write()).into_response();
    }
    let (relates_to, response) = match RequestEnvelope::read(body) {
        Ok(envelope) => {
            let id = envelope.header.message_id.clone();
            (Some(id), carry_out(endpoint, account, envelope).await)
        }
        Err(error) => (error.message_id, Err(unreadable(&error.reason))),
    };
    let machine = Some(MACHINE.to_owned());
    let (status, response) = match response {
        Ok(response) => (StatusCode::OK, response),
        Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, Response::Fault(Fault { machine, ..fault })),
    };
    let message_id = format!("uuid:{}", Uuid::new_v4().to_string().to_uppercase());
    let dialect = if endpoint.options.omi { FaultDialect::Omi } else { FaultDialect::WinRm };
    let text = ResponseEnvelope { message_id, relates_to, response }.write_as(dialect);
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response()
}

/// Returns the fault for an invalid request.
fn unreadable(reason: &Reason) -> Fault {
    let text = reason.to_string();
    match reason {
        Reason::NotSoap(_) => Fault::new(INVALID_XML, "w:InvalidXml", text),
        Reason::Action(_) => Fault::new(ACTION_NOT_SUPPORTED, "a:ActionNotSupported", text),
        Reason::NotUnderstood(_) => {
            Fault { text, subcode: Some(MUST_UNDERSTAND.to_owned()), ..Fault::default() }
        }
        Reason::Missing(_) | Reason::Value { .. } => Fault::new(SCHEMA, "w:SchemaValidationError", text),
    }
}

async fn carry_out(
    endpoint: &Arc<Endpoint>,
    account: &Account,
    envelope: RequestEnvelope,
) -> Result<Response, Fault> {
    let RequestEnvelope { header, request } = envelope;
    check::resource(&header.resource_uri, &request)?;
    match request {
        WsmanRequest::Create(create) => open(endpoint, account, &header, create).await,
        WsmanRequest::Enumerate(asked) => {
            Ok(Response::Enumerated(listed(endpoint, account, &header.resource_uri, &asked)))
        }
        WsmanRequest::Get if header.resource_uri.eq_ignore_ascii_case(ns::CONFIG) => {
            Ok(Response::Configured { max_envelope_size: MAX_ENVELOPE_SIZE })
        }
        WsmanRequest::Pull { .. } => Ok(Response::Pulled(Items { end: true, ..Items::default() })),
        WsmanRequest::Connect { command: None, .. } => Err(Fault::new(
            UNSUPPORTED,
            "w:UnsupportedFeature",
            "This endpoint does not support connecting to the session of another client.",
        )),
        request => {
            let shell = shell(endpoint, account, &header)?;
            if endpoint.options.omi && matches!(request, WsmanRequest::Delete) {
                return omi::delete(endpoint, shell).await;
            }
            in_shell(endpoint, &shell, &header, request).await
        }
    }
}

fn shell(endpoint: &Endpoint, account: &Account, header: &RequestHeader) -> Result<Arc<Shell>, Fault> {
    let id = header.shell_id().unwrap_or_default();
    endpoint.shell(id).filter(|shell| shell.parameters.owner == account.user).ok_or_else(|| {
        let text = format!(
            "The request for the Windows Remote Shell with ShellId {id} failed because the shell was not found on \
             the server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on \
             the server. Provide the correct ShellId or create a new shell and retry the operation."
        );
        let subcode =
            if endpoint.options.omi { "a:DestinationUnreachable" } else { "w:InvalidSelectors" };
        Fault::new(code::UNEXPECTED_SELECTORS, subcode, text)
    })
}

async fn open(
    endpoint: &Arc<Endpoint>,
    account: &Account,
    header: &RequestHeader,
    create: Create,
) -> Result<Response, Fault> {
    let id = create.shell_id.unwrap_or_else(|| Uuid::new_v4().to_string()).to_uppercase();
    let idle_timeout = check::idle_timeout(&endpoint.options, create.idle_timeout)?;
    let opening = Opening {
        id: id.clone(),
        owner: account.user.clone(),
        domain: account.domain.clone(),
        resource_uri: header.resource_uri.clone(),
        name: create.name,
        client: header.session_id.clone(),
        omi: endpoint.options.omi,
    };
    let backend = (endpoint.backends)(&account.user)
        .map_err(|error| Fault::new(PROVIDER_GONE, "w:InternalError", error.to_string()))?;
    let made = Arc::new(Shell::new(opening, idle_timeout, backend));
    let refused = {
        let mut shells = endpoint.shells();
        let mine = shells.values().filter(|shell| shell.parameters.owner == account.user).count();
        let ours = shells.values().filter(|shell| shell.parameters.domain == account.domain).count();
        if shells.contains_key(&id) {
            let text = format!("A shell with ShellId {id} already exists.");
            return Err(Fault::new(ALREADY_EXISTS, "w:AlreadyExists", text));
        }
        if mine >= endpoint.options.sessions_per_user
            || endpoint.fault(account) == Some(TenantFault::QuotaReached)
        {
            Some("user")
        } else if ours >= endpoint.options.sessions_per_tenant {
            Some("tenant")
        } else {
            shells.insert(id.clone(), made.clone());
            None
        }
    };
    if let Some(whose) = refused {
        if endpoint.options.hang {
            std::future::pending::<()>().await;
        }
        let text = format!(
            "The WS-Management service cannot process the request. The maximum number of concurrent shells for \
             this {whose} has been exceeded. Close existing shells or raise the quota for this {whose}."
        );
        return Err(Fault::new(code::QUOTA_MAX_SHELLS, "w:QuotaLimit", text));
    }
    let opened = match made.take(Uuid::nil(), false, &create.data).await {
        Ok(0) => Err(TakeError::NoMessage),
        taken => taken,
    };
    if let Err(reason) = opened {
        endpoint.shells().remove(&id);
        made.close();
        return Err(Fault::new(INVALID_PARAMETER, "w:InvalidParameter", reason.to_string()));
    }
    let shell = (!endpoint.options.omi).then(|| described(&made));
    Ok(Response::Created { shell_id: id, resource_uri: Some(header.resource_uri.clone()), shell })
}

async fn in_shell(
    endpoint: &Endpoint,
    shell: &Shell,
    header: &RequestHeader,
    request: WsmanRequest,
) -> Result<Response, Fault> {
    if !matches!(request, WsmanRequest::Receive { .. } | WsmanRequest::Get) {
        shell.touch();
    }
    let target = match &request {
        WsmanRequest::Receive { command, .. } | WsmanRequest::Signal { command, .. } => {
            known(shell, *command)?
        }
        WsmanRequest::Send(parts) => known(shell, parts.iter().find_map(|part| part.command))?,
        _ => Uuid::nil(),
    };
    let needs_connection = matches!(
        request,
        WsmanRequest::Command { .. }
            | WsmanRequest::Send(_)
            | WsmanRequest::Receive { .. }
            | WsmanRequest::Signal { .. }
    );
    if needs_connection && shell.is_disconnected(target) {
        return Err(disconnected(code::DISCONNECTED));
    }
    let wrong = |reason: TakeError| Fault::new(INVALID_PARAMETER, "w:InvalidParameter", reason.to_string());
    match request {
        WsmanRequest::Command { id, arguments, .. } => {
            let id = id.unwrap_or_else(Uuid::new_v4);
            if !shell.claim(id) {
                let text = format!("The shell already has a command {}.", id.to_string().to_uppercase());
                return Err(Fault::new(ALREADY_EXISTS, "w:AlreadyExists", text));
            }
            if let Err(reason) = shell.take(id, false, &arguments).await {
                shell.end(id);
                return Err(wrong(reason));
            }
            Ok(Response::Commanded { id: Some(id) })
        }
        WsmanRequest::Send(parts) => {
            for StreamPart { name, command, data, .. } in parts {
                shell.take(command.unwrap_or(Uuid::nil()), name == "pr", &data).await.map_err(wrong)?;
            }
            Ok(Response::Sent)
        }
        WsmanRequest::Receive { .. } => {
            let envelope = header.max_envelope_size.unwrap_or(DEFAULT_MAX_ENVELOPE_SIZE);
            match shell.receive(target, header.operation_timeout, envelope, endpoint.options.trickle).await {
                Polled::Received(received) => Ok(Response::Received(received)),
                Polled::Disconnected => Err(disconnected(code::STREAM_DISCONNECTED)),
                Polled::Gone => {
                    endpoint.shells().remove(&shell.parameters.id);
                    shell.pool.close();
                    let text = "The I/O operation has been aborted because of either a thread exit or an \
                                application request.";
                    Err(Fault::new(PROVIDER_GONE, "w:InternalError", text))
                }
                Polled::TimedOut if endpoint.options.omi => Ok(Response::Received(Received {
                    state: Some(CommandState::Running),
                    ..Received::default()
                })),
                Polled::TimedOut => {
                    let text = "The WS-Management service cannot complete the operation within the time specified \
                                in OperationTimeout.";
                    Err(Fault::new(code::TIMED_OUT, "w:TimedOut", text))
                }
            }
        }
        WsmanRequest::Disconnect { idle_timeout, .. } => {
            if idle_timeout.is_some() {
                shell.set_idle_timeout(check::idle_timeout(&endpoint.options, idle_timeout)?);
            }
            shell.disconnect();
            Ok(Response::Disconnected)
        }
        WsmanRequest::Reconnect { .. } | WsmanRequest::Connect { .. }
            if shell.parameters.client != header.session_id =>
        {
            Err(Fault::new(
                code::OTHER_CLIENT,
                "w:InternalError",
                "Only the client that created the shell can reconnect to it.",
            ))
        }
        WsmanRequest::Reconnect { command } => {
            shell.reconnect(command.unwrap_or(Uuid::nil()));
            Ok(Response::Reconnected)
        }
        WsmanRequest::Connect { command, .. } => {
            shell.reconnect(command.unwrap_or(Uuid::nil()));
            Ok(Response::Connected { data: Vec::new() })
        }
        WsmanRequest::Signal { code, .. } => {
            if endpoint.options.omi {
                omi::receiving(shell, target).await;
            }
            // As in PowerShell's plug-in (WSManPlugin.cs, PerformWSManPluginSignal): any other code closes a
            // command, and no code affects a shell.
            match code {
                SignalCode::Stop => shell.pool.stop(target),
                _ if target.is_nil() => {}
                SignalCode::Terminate | SignalCode::Other(_) => shell.end(target),
            }
            Ok(Response::Signaled)
        }
        WsmanRequest::Delete => {
            endpoint.shells().remove(&shell.parameters.id);
            shell.close();
            Ok(Response::Deleted)
        }
        WsmanRequest::Get => Ok(Response::Got(described(shell))),
        _ => Err(Fault::new(UNSUPPORTED, "w:UnsupportedFeature", "The shell does not support this request.")),
    }
}

/// Returns the target of a request: the pool (nil), or a pipeline that the shell knows.
fn known(shell: &Shell, command: Option<Uuid>) -> Result<Uuid, Fault> {
    let target = command.unwrap_or_default();
    if shell.knows(target) {
        return Ok(target);
    }
    let text = format!(
        "The WS-Management service cannot process the request because the request contained invalid selectors for \
         the resource: the shell {} has no command {}.",
        shell.parameters.id,
        target.to_string().to_uppercase()
    );
    Err(Fault::new(code::UNEXPECTED_SELECTORS, "w:InvalidSelectors", text))
}

fn disconnected(code: u32) -> Fault {
    Fault::new(code, "w:InternalError", "The shell is disconnected. Reconnect to it, and repeat the request.")
}

fn described(shell: &Shell) -> ShellInfo {
    ShellInfo {
        shell_id: shell.parameters.id.clone(),
        name: shell.parameters.name.clone(),
        owner: Some(shell.parameters.owner.clone()),
        client_address: Some("127.0.0.1".into()),
        process_id: None,
        resource_uri: Some(shell.parameters.resource_uri.clone()),
        state: Some(connection(shell, Uuid::nil())),
        idle_timeout: Some(shell.idle_timeout()),
        running_time: Some(shell.created.elapsed()),
        inactivity: Some(shell.idle()),
    }
}

fn connection(shell: &Shell, target: Uuid) -> String {
    let state = if shell.is_disconnected(target) { "Disconnected" } else { "Connected" };
    state.to_owned()
}

/// Returns the account's shells, or the commands running in one or all of them.
fn listed(endpoint: &Endpoint, account: &Account, resource: &str, asked: &Enumerate) -> Items {
    let mine: Vec<_> =
        endpoint.shells().values().filter(|shell| shell.parameters.owner == account.user).cloned().collect();
    if resource.eq_ignore_ascii_case(COMMAND_RESOURCE) {
        let filter = asked.filter.iter().find(|(name, _)| name.eq_ignore_ascii_case("ShellId"));
        let wanted =
            |shell: &&Arc<Shell>| filter.is_none_or(|(_, id)| id.eq_ignore_ascii_case(&shell.parameters.id));
        let commands = mine.iter().filter(wanted).flat_map(|shell| commands(shell)).collect();
        return Items { commands, end: true, ..Items::default() };
    }
    let shells = mine.iter().map(|shell| described(shell)).collect();
    Items { shells, end: true, ..Items::default() }
}

fn commands(shell: &Shell) -> Vec<CommandInfo> {
    let command = |command_id| CommandInfo {
        shell_id: Some(shell.parameters.id.clone()),
        command_id,
        state: Some(connection(shell, command_id)),
    };
    shell.pool.running().into_iter().map(command).collect()
}
