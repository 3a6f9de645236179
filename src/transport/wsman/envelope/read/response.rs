//! Reads a server's response from the tree of its envelope.

use super::super::tree::Element;
use super::super::*;
use super::parts::*;
use crate::transport::wsman::fault::{self, Fault};

pub(super) fn read_response(envelope: &Envelope) -> Result<Response, Reason> {
    let body = &envelope.body;
    if let Some(fault) = body.child(ns::SOAP, "Fault") {
        return Ok(Response::Fault(read_fault(fault)));
    }
    let (base, name) = envelope.action.rsplit_once('/').unwrap_or(("", &envelope.action));
    if base == fault::ACTION_BASES[0] || base == fault::ACTION_BASES[1] {
        // OMI returns an empty fault for a request that it rejects.
        return Ok(Response::Fault(Fault::empty()));
    }
    Ok(match (base, name) {
        (ns::TRANSFER, "CreateResponse") => created(body)?,
        (ns::TRANSFER, "DeleteResponse") => Response::Deleted,
        (ns::TRANSFER, "GetResponse") => match body.child(ns::CONFIG, "Config") {
            Some(config) => configured(config)?,
            None => Response::Got(shell(envelope.content(ns::SHELL, "Shell")?)),
        },
        (ns::ENUMERATION, "EnumerateResponse") => {
            Response::Enumerated(items(envelope.content(ns::ENUMERATION, "EnumerateResponse")?)?)
        }
        (ns::ENUMERATION, "PullResponse") => {
            Response::Pulled(items(envelope.content(ns::ENUMERATION, "PullResponse")?)?)
        }
        (ns::SHELL, "CommandResponse") => {
            let body = envelope.content(ns::SHELL, "CommandResponse")?;
            let id = body.child_text(ns::SHELL, "CommandId").map(uuid).transpose()?;
            Response::Commanded { id }
        }
        (ns::SHELL, "SendResponse") => Response::Sent,
        (ns::SHELL, "ReceiveResponse") => received(envelope.content(ns::SHELL, "ReceiveResponse")?)?,
        (ns::SHELL, "SignalResponse") => Response::Signaled,
        (ns::SHELL, "DisconnectResponse") => Response::Disconnected,
        (ns::SHELL, "ReconnectResponse") => Response::Reconnected,
        (ns::SHELL, "ConnectResponse") => {
            let data = body.find("connectResponseXml").map(bytes).transpose()?;
            Response::Connected { data: data.unwrap_or_default() }
        }
        _ => return Err(Reason::Action(envelope.action.clone())),
    })
}

fn created(body: &Element) -> Result<Response, Reason> {
    let described = body.child(ns::SHELL, "Shell").map(shell);
    let resource = body.child(ns::TRANSFER, "ResourceCreated");
    let selectors = pairs(resource.and_then(|resource| resource.find("SelectorSet")), "Selector");
    let shell_id = find(&selectors, "ShellId").map(str::to_owned);
    let shell_id = shell_id.or_else(|| described.as_ref().map(|shell| shell.shell_id.clone()));
    Ok(Response::Created {
        shell_id: shell_id.ok_or(Reason::Missing("the new shell's ShellId"))?,
        resource_uri: resource
            .and_then(|resource| resource.find("ResourceURI"))
            .map(|uri| uri.trimmed().to_owned()),
        shell: described,
    })
}

fn received(body: &Element) -> Result<Response, Reason> {
    let mut received = Received { streams: streams(body)?, ..Received::default() };
    if let Some(state) = body.child(ns::SHELL, "CommandState") {
        let uri = state.attribute("State").ok_or(Reason::Missing("a command's state"))?;
        received.state = Some(CommandState::from_uri(uri)?);
        received.command = id(state)?;
        // A Windows exit code may exceed an i32, written without a sign.
        received.exit_code = state
            .child_text(ns::SHELL, "ExitCode")
            .and_then(|code| code.parse::<i64>().ok())
            .and_then(|code| i32::try_from(code).ok());
    }
    Ok(Response::Received(received))
}

fn configured(config: &Element) -> Result<Response, Reason> {
    let size = config.child_text(ns::CONFIG, "MaxEnvelopeSizekb").and_then(|size| size.parse().ok());
    let missing = || Reason::Missing("MaxEnvelopeSizekb");
    Ok(Response::Configured { max_envelope_size: size.ok_or_else(missing)? })
}

/// Reads the items: those of an optimised EnumerateResponse are in `w:Items`, those of a PullResponse in `n:Items`; the
/// end is marked in either namespace.
fn items(body: &Element) -> Result<Items, Reason> {
    let mut items = Items::default();
    for list in body.children.iter().filter(|child| child.name == "Items") {
        // With an enumeration mode, an item is wrapped together with its reference.
        let unwrapped = list.children.iter().flat_map(|child| {
            if child.name == "Item" { child.children.as_slice() } else { std::slice::from_ref(child) }
        });
        for item in unwrapped {
            if item.is(ns::SHELL, "Shell") {
                items.shells.push(shell(item));
            } else if item.is(ns::SHELL, "Command") {
                items.commands.push(CommandInfo {
                    shell_id: text(item, ns::SHELL, "ShellId"),
                    command_id: uuid(
                        item.child_text(ns::SHELL, "CommandId").ok_or(Reason::Missing("a CommandId"))?,
                    )?,
                    state: text(item, ns::SHELL, "State"),
                });
            }
        }
    }
    items.end = body.children.iter().any(|child| child.name == "EndOfSequence");
    items.context = text(body, ns::ENUMERATION, "EnumerationContext").filter(|_| !items.end);
    Ok(items)
}

/// Reads the description of a shell. All fields are informational: invalid values are omitted.
fn shell(element: &Element) -> ShellInfo {
    let given = |name| text(element, ns::SHELL, name);
    let length = |name| given(name).and_then(|text| super::super::duration::parse(&text));
    ShellInfo {
        shell_id: given("ShellId").unwrap_or_default(),
        name: given("Name"),
        owner: given("Owner"),
        client_address: given("ClientIP"),
        process_id: given("ProcessId").and_then(|id| id.parse().ok()),
        resource_uri: given("ResourceUri"),
        state: given("State"),
        idle_timeout: length("IdleTimeOut"),
        running_time: length("ShellRunTime"),
        inactivity: length("ShellInactivity"),
    }
}

/// Reads a `s:Fault` element.
fn read_fault(fault: &Element) -> Fault {
    let code = fault.child(ns::SOAP, "Code");
    let subcode = code.and_then(|code| code.child(ns::SOAP, "Subcode"));
    let reason = fault.child(ns::SOAP, "Reason").and_then(|reason| reason.child_text(ns::SOAP, "Text"));
    let detail = fault.child(ns::SOAP, "Detail");
    let wsman = detail.and_then(|detail| detail.find("WSManFault"));
    // A provider's own text is in the message's ProviderFault, deeper than the message's text.
    let message = wsman.and_then(|wsman| wsman.child(ns::FAULT, "Message"));
    let message = message.and_then(deepest_text);
    let omi = detail.and_then(|detail| detail.find("OMI_Error"));
    let omi = omi.and_then(|error| error.find("Message")).map(Element::trimmed);
    let redirect = detail.and_then(|detail| {
        ["RedirectLocation", "NewLocation", "Location"].iter().find_map(|name| detail.find(name))
    });
    let text = [message, reason, omi].into_iter().flatten().find(|text| !text.is_empty());
    Fault {
        text: text.map_or_else(|| Fault::empty().text, str::to_owned),
        code: wsman.and_then(|wsman| wsman.attribute("Code")).and_then(|code| code.parse().ok()),
        subcode: subcode.and_then(|subcode| subcode.child_text(ns::SOAP, "Value")).map(str::to_owned),
        machine: wsman.and_then(|wsman| wsman.attribute("Machine")).map(str::to_owned),
        redirect: redirect.map(|to| to.trimmed().to_owned()),
        is_from_other_member: false,
    }
}

fn deepest_text(element: &Element) -> Option<&str> {
    element.children.iter().find_map(deepest_text).or_else(|| {
        let text = element.trimmed();
        (!text.is_empty()).then_some(text)
    })
}
