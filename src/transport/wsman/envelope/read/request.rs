//! Reads a client's request from the tree of its envelope.

use super::super::tree::Element;
use super::super::*;
use super::parts::*;

pub(super) fn read_request(envelope: &Envelope) -> Result<RequestEnvelope, Reason> {
    let from = &envelope.header;
    if let Some(unknown) = from.children.iter().find(|header| !is_understood(header)) {
        return Err(Reason::NotUnderstood(unknown.name.clone()));
    }
    let header = RequestHeader {
        message_id: envelope.message_id().ok_or(Reason::Missing("a MessageID"))?,
        to: text(from, ns::ADDRESSING, "To").unwrap_or_default(),
        resource_uri: text(from, ns::WSMAN, "ResourceURI").unwrap_or_default(),
        max_envelope_size: number(from, ns::WSMAN, "MaxEnvelopeSize")?,
        operation_timeout: duration(from, ns::WSMAN, "OperationTimeout")?,
        locale: language(from, ns::WSMAN, "Locale"),
        data_locale: language(from, ns::WSMV, "DataLocale"),
        session_id: text(from, ns::WSMV, "SessionId"),
        selectors: pairs(from.child(ns::WSMAN, "SelectorSet"), "Selector"),
        options: pairs(from.child(ns::WSMAN, "OptionSet"), "Option"),
    };
    let (base, name) = envelope.action.rsplit_once('/').unwrap_or(("", &envelope.action));
    let request = match (base, name) {
        (ns::TRANSFER, "Create") => WsmanRequest::Create(create(envelope.content(ns::SHELL, "Shell")?)?),
        (ns::TRANSFER, "Delete") => WsmanRequest::Delete,
        (ns::TRANSFER, "Get") => WsmanRequest::Get,
        (ns::ENUMERATION, "Enumerate") => {
            let body = envelope.content(ns::ENUMERATION, "Enumerate")?;
            let filter = body.child(ns::WSMAN, "Filter").and_then(|filter| filter.find("SelectorSet"));
            WsmanRequest::Enumerate(Enumerate {
                optimize: body.child(ns::WSMAN, "OptimizeEnumeration").is_some(),
                max_elements: number(body, ns::WSMAN, "MaxElements")?,
                filter: pairs(filter, "Selector"),
            })
        }
        (ns::ENUMERATION, "Pull") => {
            let body = envelope.content(ns::ENUMERATION, "Pull")?;
            WsmanRequest::Pull {
                context: text(body, ns::ENUMERATION, "EnumerationContext")
                    .ok_or(Reason::Missing("an EnumerationContext"))?,
                max_elements: number(body, ns::ENUMERATION, "MaxElements")?,
            }
        }
        (ns::SHELL, "Command") => {
            let body = envelope.content(ns::SHELL, "CommandLine")?;
            let mut arguments = Vec::new();
            for part in body.children_named(ns::SHELL, "Arguments") {
                arguments.extend(bytes(part)?);
            }
            WsmanRequest::Command {
                id: id(body)?,
                name: text(body, ns::SHELL, "Command").unwrap_or_default(),
                arguments,
            }
        }
        (ns::SHELL, "Send") => WsmanRequest::Send(streams(envelope.content(ns::SHELL, "Send")?)?),
        (ns::SHELL, "Receive") => {
            let body = envelope.content(ns::SHELL, "Receive")?;
            let desired = body.child(ns::SHELL, "DesiredStream").ok_or(Reason::Missing("a DesiredStream"))?;
            WsmanRequest::Receive {
                streams: desired.text.split_whitespace().map(str::to_owned).collect(),
                command: id(desired)?,
            }
        }
        (ns::SHELL, "Signal") => {
            let body = envelope.content(ns::SHELL, "Signal")?;
            let code = body.child_text(ns::SHELL, "Code").ok_or(Reason::Missing("a signal's Code"))?;
            WsmanRequest::Signal { command: id(body)?, code: SignalCode::from_uri(code) }
        }
        (ns::SHELL, "Disconnect") => {
            let body = envelope.content(ns::SHELL, "Disconnect")?;
            WsmanRequest::Disconnect {
                idle_timeout: duration(body, ns::SHELL, "IdleTimeOut")?,
                buffer_mode: text(body, ns::SHELL, "BufferMode"),
            }
        }
        (ns::SHELL, "Reconnect") => {
            // The Windows client sends the shell's Reconnect without a body.
            let command = envelope.content(ns::SHELL, "Reconnect").ok().map(id).transpose()?.flatten();
            WsmanRequest::Reconnect { command }
        }
        (ns::SHELL, "Connect") => {
            let body = envelope.content(ns::SHELL, "Connect")?;
            let data = body.child(ns::POWERSHELL, "connectXml").map(bytes).transpose()?;
            WsmanRequest::Connect { command: id(body)?, data: data.unwrap_or_default() }
        }
        _ => return Err(Reason::Action(envelope.action.clone())),
    };
    Ok(RequestEnvelope { header, request })
}

/// The headers of requests (DSP0226 5.4, 6, 7; MS-WSMV 2.2.4).
const HEADERS: [(&str, &[&str]); 3] = [
    (ns::ADDRESSING, &["Action", "MessageID", "To", "ReplyTo", "FaultTo", "From", "RelatesTo"]),
    (
        ns::WSMAN,
        &[
            "ResourceURI",
            "SelectorSet",
            "OptionSet",
            "MaxEnvelopeSize",
            "OperationTimeout",
            "Locale",
            "RequestEPR",
            "RequestTotalItemsCountEstimate",
        ],
    ),
    (ns::WSMV, &["DataLocale", "SessionId", "OperationID", "SequenceId", "ActivityId"]),
];

/// Returns whether a header is supported or may be ignored.
fn is_understood(header: &Element) -> bool {
    let must = header.attribute_ns(ns::SOAP, "mustUnderstand");
    let known =
        || HEADERS.iter().any(|(ns, names)| header.ns == *ns && names.contains(&header.name.as_str()));
    !matches!(must, Some("true" | "1")) || known()
}

fn create(shell: &Element) -> Result<Create, Reason> {
    let given = |name: &str| {
        let attribute = shell.attribute(name).map(str::to_owned);
        attribute.or_else(|| text(shell, ns::SHELL, name)).filter(|value| !value.is_empty())
    };
    let data = shell.child(ns::POWERSHELL, "creationXml").map(bytes).transpose()?;
    Ok(Create {
        shell_id: given("ShellId"),
        name: given("Name"),
        input_streams: text(shell, ns::SHELL, "InputStreams").unwrap_or_default(),
        output_streams: text(shell, ns::SHELL, "OutputStreams").unwrap_or_default(),
        idle_timeout: given("IdleTimeOut").map(|value| parse_duration("IdleTimeOut", &value)).transpose()?,
        data: data.unwrap_or_default(),
    })
}
