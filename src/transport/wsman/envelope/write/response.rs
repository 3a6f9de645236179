//! Writes a server's response.

use super::super::super::fault::{self, FaultDialect};
use super::super::duration::format;
use super::*;

impl ResponseEnvelope {
    /// Returns the envelope as bytes; faults in WinRM's format.
    pub fn write(&self) -> Vec<u8> {
        self.write_as(FaultDialect::WinRm)
    }

    /// Returns the envelope as bytes, with faults in the given server's format.
    pub fn write_as(&self, dialect: FaultDialect) -> Vec<u8> {
        let mut xml = Xml::new();
        xml.open("s:Header", &[]);
        xml.text("a:To", &[], ANONYMOUS);
        xml.text("a:Action", &[], &self.response.action(dialect));
        xml.text("a:MessageID", &[], &self.message_id);
        xml.optional("a:RelatesTo", self.relates_to.as_deref());
        xml.close("s:Header");
        xml.open("s:Body", &[]);
        self.response.write(&mut xml, dialect);
        xml.close("s:Body");
        xml.finish()
    }
}

impl Response {
    fn action(&self, dialect: FaultDialect) -> String {
        let (base, name) = self.parts(dialect);
        format!("{base}/{name}")
    }

    /// Returns the action's last part, for example `CreateResponse`.
    pub fn name(&self) -> &'static str {
        self.parts(FaultDialect::WinRm).1
    }

    fn parts(&self, dialect: FaultDialect) -> (&'static str, &'static str) {
        match self {
            Self::Created { .. } => (ns::TRANSFER, "CreateResponse"),
            Self::Deleted => (ns::TRANSFER, "DeleteResponse"),
            Self::Got(_) | Self::Configured { .. } => (ns::TRANSFER, "GetResponse"),
            Self::Enumerated(_) => (ns::ENUMERATION, "EnumerateResponse"),
            Self::Pulled(_) => (ns::ENUMERATION, "PullResponse"),
            Self::Commanded { .. } => (ns::SHELL, "CommandResponse"),
            Self::Sent => (ns::SHELL, "SendResponse"),
            Self::Received(_) => (ns::SHELL, "ReceiveResponse"),
            Self::Signaled => (ns::SHELL, "SignalResponse"),
            Self::Disconnected => (ns::SHELL, "DisconnectResponse"),
            Self::Reconnected => (ns::SHELL, "ReconnectResponse"),
            Self::Connected { .. } => (ns::SHELL, "ConnectResponse"),
            Self::Fault(_) => (fault::ACTION_BASES[usize::from(dialect == FaultDialect::Omi)], "fault"),
        }
    }

    fn write(&self, xml: &mut Xml, dialect: FaultDialect) {
        match self {
            Self::Created { shell_id, resource_uri, shell } => {
                xml.open("x:ResourceCreated", &[]);
                xml.text("a:Address", &[], ANONYMOUS);
                xml.open("a:ReferenceParameters", &[]);
                xml.optional("w:ResourceURI", resource_uri.as_deref());
                let selectors = [("ShellId".to_owned(), shell_id.clone())];
                xml.set("w:SelectorSet", "w:Selector", &selectors, None);
                xml.close("a:ReferenceParameters");
                xml.close("x:ResourceCreated");
                if let Some(shell) = shell {
                    shell.write(xml);
                }
            }
            Self::Deleted => {}
            Self::Got(shell) => shell.write(xml),
            Self::Configured { max_envelope_size } => {
                xml.open("c:Config", &[("xmlns:c", ns::CONFIG)]);
                xml.text("c:MaxEnvelopeSizekb", &[], &max_envelope_size.to_string());
                xml.close("c:Config");
            }
            Self::Enumerated(items) => items.write(xml, "n:EnumerateResponse", "w"),
            Self::Pulled(items) => items.write(xml, "n:PullResponse", "n"),
            Self::Commanded { id } => {
                xml.open("rsp:CommandResponse", &[]);
                xml.optional("rsp:CommandId", id.map(capitals).as_deref());
                xml.close("rsp:CommandResponse");
            }
            Self::Sent => xml.empty("rsp:SendResponse", &[]),
            Self::Received(received) => received.write(xml),
            Self::Signaled => xml.empty("rsp:SignalResponse", &[]),
            Self::Disconnected => xml.empty("rsp:DisconnectResponse", &[]),
            Self::Reconnected => xml.empty("rsp:ReconnectResponse", &[]),
            Self::Connected { data } => {
                xml.open("rsp:ConnectResponse", &[]);
                xml.bytes("connectResponseXml", &[("xmlns", ns::POWERSHELL)], data);
                xml.close("rsp:ConnectResponse");
            }
            Self::Fault(fault) => write_fault(fault, xml, dialect),
        }
    }
}

impl Received {
    fn write(&self, xml: &mut Xml) {
        xml.open("rsp:ReceiveResponse", &[]);
        self.streams.iter().for_each(|part| part.write(xml));
        if let Some(state) = self.state {
            let name = match state {
                CommandState::Pending => "Pending",
                CommandState::Running => "Running",
                CommandState::Done => "Done",
            };
            let state = format!("{}{name}", CommandState::BASE);
            let id = self.command.map(capitals);
            let mut attributes: Vec<_> = id.iter().map(|id| ("CommandId", id.as_str())).collect();
            attributes.push(("State", &state));
            xml.open("rsp:CommandState", &attributes);
            xml.optional("rsp:ExitCode", self.exit_code.map(|code| code.to_string()).as_deref());
            xml.close("rsp:CommandState");
        }
        xml.close("rsp:ReceiveResponse");
    }
}

impl Items {
    /// `prefix` is the namespace of the items and the end mark in this kind of response.
    fn write(&self, xml: &mut Xml, name: &str, prefix: &str) {
        xml.open(name, &[]);
        if !self.end {
            xml.text("n:EnumerationContext", &[], self.context.as_deref().unwrap_or_default());
        }
        let list = format!("{prefix}:Items");
        xml.open(&list, &[]);
        self.shells.iter().for_each(|shell| shell.write(xml));
        for command in &self.commands {
            xml.open("rsp:Command", &[]);
            xml.optional("rsp:ShellId", command.shell_id.as_deref());
            xml.text("rsp:CommandId", &[], &capitals(command.command_id));
            xml.optional("rsp:State", command.state.as_deref());
            xml.close("rsp:Command");
        }
        xml.close(&list);
        if self.end {
            xml.empty(&format!("{prefix}:EndOfSequence"), &[]);
        }
        xml.close(name);
    }
}

impl ShellInfo {
    fn write(&self, xml: &mut Xml) {
        let length = |duration: Option<Duration>| duration.map(format);
        xml.open("rsp:Shell", &[]);
        xml.text("rsp:ShellId", &[], &self.shell_id);
        xml.optional("rsp:Name", self.name.as_deref());
        xml.optional("rsp:ResourceUri", self.resource_uri.as_deref());
        xml.optional("rsp:Owner", self.owner.as_deref());
        xml.optional("rsp:ClientIP", self.client_address.as_deref());
        xml.optional("rsp:ProcessId", self.process_id.map(|id| id.to_string()).as_deref());
        xml.optional("rsp:IdleTimeOut", length(self.idle_timeout).as_deref());
        xml.text("rsp:InputStreams", &[], "stdin pr");
        xml.text("rsp:OutputStreams", &[], "stdout");
        xml.optional("rsp:State", self.state.as_deref());
        xml.optional("rsp:ShellRunTime", length(self.running_time).as_deref());
        xml.optional("rsp:ShellInactivity", length(self.inactivity).as_deref());
        xml.close("rsp:Shell");
    }
}

fn write_fault(fault: &fault::Fault, xml: &mut Xml, dialect: FaultDialect) {
    let english = &[("xml:lang", "en-US")];
    xml.open("s:Fault", &[]);
    xml.open("s:Code", &[]);
    let not_understood = fault.subcode.as_deref() == Some(fault::MUST_UNDERSTAND);
    let code = if not_understood {
        fault::MUST_UNDERSTAND
    } else if fault.is_timed_out() {
        "s:Receiver"
    } else {
        "s:Sender"
    };
    xml.text("s:Value", &[], code);
    if let Some(subcode) = fault.subcode.as_ref().filter(|_| !not_understood) {
        xml.open("s:Subcode", &[]);
        xml.text("s:Value", &[], subcode);
        xml.close("s:Subcode");
    }
    xml.close("s:Code");
    xml.open("s:Reason", &[]);
    xml.text("s:Text", english, &fault.text);
    xml.close("s:Reason");
    xml.open("s:Detail", &[]);
    match dialect {
        FaultDialect::WinRm => {
            let code = fault.code.map(|code| code.to_string());
            let mut attributes = vec![("xmlns:f", ns::FAULT)];
            attributes.extend(code.iter().map(|code| ("Code", code.as_str())));
            attributes.extend(fault.machine.iter().map(|machine| ("Machine", machine.as_str())));
            xml.open("f:WSManFault", &attributes);
            xml.text("f:Message", &[], &fault.text);
            xml.optional("f:RedirectLocation", fault.redirect.as_deref());
            xml.close("f:WSManFault");
        }
        FaultDialect::Omi => {
            xml.open("p:OMI_Error", &[]);
            xml.text("p:Message", &[], &fault.text);
            xml.close("p:OMI_Error");
        }
    }
    xml.close("s:Detail");
    xml.close("s:Fault");
}
