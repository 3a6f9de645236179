//! Writing envelopes of either side: the prefixes and the order of headers are those of PowerShell's
//! client and of WinRM's answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::super::fault::{self, Manner};
use super::*;

/// The prefixes that every envelope declares.
const PREFIXES: [(&str, &str); 9] = [
    ("xmlns:s", ns::SOAP),
    ("xmlns:a", ns::ADDRESSING),
    ("xmlns:n", ns::ENUMERATION),
    ("xmlns:x", ns::TRANSFER),
    ("xmlns:w", ns::WSMAN),
    ("xmlns:p", ns::WSMV),
    ("xmlns:rsp", ns::SHELL),
    ("xmlns:xs", "http://www.w3.org/2001/XMLSchema"),
    ("xmlns:xsi", ns::SCHEMA_INSTANCE),
];

type Attributes<'a> = &'a [(&'a str, &'a str)];

/// A document as it grows.
struct Xml(quick_xml::Writer<Vec<u8>>);

impl Xml {
    fn new() -> Self {
        let mut xml = Self(quick_xml::Writer::new(Vec::with_capacity(2048)));
        xml.open("s:Envelope", &PREFIXES);
        xml
    }
    fn event(&mut self, event: Event<'_>) {
        // Writing to memory can't fail.
        let _ = self.0.write_event(event);
    }
    fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        self.event(Event::Start(start(name, attributes)));
    }
    fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }
    fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.event(Event::Empty(start(name, attributes)));
    }
    fn text(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes);
        self.event(Event::Text(BytesText::new(&allowed(text))));
        self.close(name);
    }
    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, &[], text);
        }
    }
    fn bytes(&mut self, name: &str, attributes: Attributes<'_>, bytes: &[u8]) {
        self.open(name, attributes);
        // The alphabet of base64 needs no escapes.
        self.event(Event::Text(BytesText::from_escaped(STANDARD.encode(bytes))));
        self.close(name);
    }
    fn set(&mut self, set: &str, item: &str, pairs: &[(String, String)], type_: Option<&str>) {
        self.open(set, if item == "w:Option" { &[("s:mustUnderstand", "true")] } else { &[] });
        for (name, value) in pairs {
            match type_ {
                Some(type_) => self.text(item, &[("Name", name), ("Type", type_)], value),
                None => self.text(item, &[("Name", name)], value),
            }
        }
        self.close(set);
    }
    fn finish(mut self) -> Vec<u8> {
        self.close("s:Envelope");
        self.0.into_inner()
    }
}

fn start<'a>(name: &'a str, attributes: Attributes<'_>) -> BytesStart<'a> {
    BytesStart::new(name).with_attributes(attributes.iter().copied())
}

/// XML has no way to write most control characters, escaped or not.
fn allowed(text: &str) -> std::borrow::Cow<'_, str> {
    let refused =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(refused) { text.replace(refused, "\u{fffd}").into() } else { text.into() }
}

fn capitals(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}

impl RequestEnvelope {
    /// The bytes that a client sends.
    pub fn write(&self) -> Vec<u8> {
        let header = &self.header;
        let must = &[("s:mustUnderstand", "true")];
        let mut xml = Xml::new();
        xml.open("s:Header", &[]);
        xml.text("a:To", &[], &header.to);
        xml.text("w:ResourceURI", must, &header.resource_uri);
        xml.open("a:ReplyTo", &[]);
        xml.text("a:Address", must, ANONYMOUS);
        xml.close("a:ReplyTo");
        xml.text("a:Action", must, &self.request.action());
        if let Some(size) = header.max_envelope_size {
            xml.text("w:MaxEnvelopeSize", must, &size.to_string());
        }
        xml.text("a:MessageID", &[], &header.message_id);
        if let Some(timeout) = header.operation_timeout {
            xml.text("w:OperationTimeout", &[], &super::duration::format(timeout));
        }
        for (name, language) in [("w:Locale", &header.locale), ("p:DataLocale", &header.data_locale)] {
            if let Some(language) = language {
                xml.empty(name, &[("xml:lang", language), ("s:mustUnderstand", "false")]);
            }
        }
        if let Some(id) = &header.session_id {
            xml.text("p:SessionId", &[("s:mustUnderstand", "false")], id);
        }
        if !header.options.is_empty() {
            xml.set("w:OptionSet", "w:Option", &header.options, Some("xs:string"));
        }
        if !header.selectors.is_empty() {
            xml.set("w:SelectorSet", "w:Selector", &header.selectors, None);
        }
        xml.close("s:Header");
        xml.open("s:Body", &[]);
        self.request.write(&mut xml);
        xml.close("s:Body");
        xml.finish()
    }
}

impl Request {
    /// The action's URI.
    pub fn action(&self) -> String {
        let (base, name) = match self {
            Self::Create(_) => (ns::TRANSFER, "Create"),
            Self::Delete => (ns::TRANSFER, "Delete"),
            Self::Get => (ns::TRANSFER, "Get"),
            Self::Enumerate(_) => (ns::ENUMERATION, "Enumerate"),
            Self::Pull { .. } => (ns::ENUMERATION, "Pull"),
            Self::Command { .. } => (ns::SHELL, "Command"),
            Self::Send(_) => (ns::SHELL, "Send"),
            Self::Receive { .. } => (ns::SHELL, "Receive"),
            Self::Signal { .. } => (ns::SHELL, "Signal"),
            Self::Disconnect { .. } => (ns::SHELL, "Disconnect"),
            Self::Reconnect => (ns::SHELL, "Reconnect"),
            Self::Connect { .. } => (ns::SHELL, "Connect"),
        };
        format!("{base}/{name}")
    }

    fn write(&self, xml: &mut Xml) {
        match self {
            Self::Create(create) => create.write(xml),
            Self::Delete | Self::Get => {}
            Self::Enumerate(enumerate) => {
                xml.open("n:Enumerate", &[]);
                if enumerate.optimize {
                    xml.empty("w:OptimizeEnumeration", &[]);
                }
                xml.optional("w:MaxElements", enumerate.max_elements.map(|n| n.to_string()).as_deref());
                if !enumerate.filter.is_empty() {
                    let dialect = "http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter";
                    xml.open("w:Filter", &[("Dialect", dialect)]);
                    xml.set("w:SelectorSet", "w:Selector", &enumerate.filter, None);
                    xml.close("w:Filter");
                }
                xml.close("n:Enumerate");
            }
            Self::Pull { context, max_elements } => {
                xml.open("n:Pull", &[]);
                xml.text("n:EnumerationContext", &[], context);
                xml.optional("n:MaxElements", max_elements.map(|n| n.to_string()).as_deref());
                xml.close("n:Pull");
            }
            Self::Command { id, name, arguments } => {
                with_id(xml, "rsp:CommandLine", *id);
                xml.text("rsp:Command", &[], name);
                xml.bytes("rsp:Arguments", &[], arguments);
                xml.close("rsp:CommandLine");
            }
            Self::Send(parts) => {
                xml.open("rsp:Send", &[]);
                parts.iter().for_each(|part| part.write(xml));
                xml.close("rsp:Send");
            }
            Self::Receive { streams, command } => {
                xml.open("rsp:Receive", &[]);
                let id = command.map(capitals);
                let attributes: Vec<_> = id.iter().map(|id| ("CommandId", id.as_str())).collect();
                xml.text("rsp:DesiredStream", &attributes, &streams.join(" "));
                xml.close("rsp:Receive");
            }
            Self::Signal { command, code } => {
                with_id(xml, "rsp:Signal", *command);
                xml.text("rsp:Code", &[], code.uri());
                xml.close("rsp:Signal");
            }
            Self::Disconnect { idle_timeout, buffer_mode } => {
                xml.open("rsp:Disconnect", &[]);
                xml.optional("rsp:IdleTimeOut", idle_timeout.map(super::duration::format).as_deref());
                xml.optional("rsp:BufferMode", buffer_mode.as_deref());
                xml.close("rsp:Disconnect");
            }
            Self::Reconnect => xml.empty("rsp:Reconnect", &[]),
            Self::Connect { command, data } => {
                with_id(xml, "rsp:Connect", *command);
                if !data.is_empty() {
                    xml.bytes("connectXml", &[("xmlns", ns::POWERSHELL)], data);
                }
                xml.close("rsp:Connect");
            }
        }
    }
}

fn with_id(xml: &mut Xml, name: &str, id: Option<Uuid>) {
    match id {
        Some(id) => xml.open(name, &[("CommandId", &capitals(id))]),
        None => xml.open(name, &[]),
    }
}

impl Create {
    fn write(&self, xml: &mut Xml) {
        let given = [("ShellId", &self.shell_id), ("Name", &self.name)];
        let attributes: Vec<_> =
            given.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
        xml.open("rsp:Shell", &attributes);
        xml.text("rsp:InputStreams", &[], &self.input_streams);
        xml.text("rsp:OutputStreams", &[], &self.output_streams);
        xml.optional("rsp:IdleTimeOut", self.idle_timeout.map(super::duration::format).as_deref());
        xml.bytes("creationXml", &[("xmlns", ns::POWERSHELL)], &self.data);
        xml.close("rsp:Shell");
    }
}

impl StreamPart {
    fn write(&self, xml: &mut Xml) {
        let id = self.command.map(capitals);
        let mut attributes = vec![("Name", self.name.as_str())];
        attributes.extend(id.iter().map(|id| ("CommandId", id.as_str())));
        if self.end {
            attributes.push(("End", "true"));
        }
        xml.bytes("rsp:Stream", &attributes, &self.data);
    }
}

impl SignalCode {
    fn uri(&self) -> &str {
        match self {
            Self::Terminate => Self::TERMINATE,
            Self::Stop => Self::STOP,
            Self::Other(uri) => uri,
        }
    }
}

impl ResponseEnvelope {
    /// The bytes that a server answers; faults in WinRM's manner.
    pub fn write(&self) -> Vec<u8> {
        self.write_as(Manner::WinRm)
    }

    /// The bytes that a server answers, faults in the manner of one or the other server.
    pub fn write_as(&self, manner: Manner) -> Vec<u8> {
        let mut xml = Xml::new();
        xml.open("s:Header", &[]);
        xml.text("a:To", &[], ANONYMOUS);
        xml.text("a:Action", &[], &self.response.action(manner));
        xml.text("a:MessageID", &[], &self.message_id);
        xml.optional("a:RelatesTo", self.relates_to.as_deref());
        xml.close("s:Header");
        xml.open("s:Body", &[]);
        self.response.write(&mut xml, manner);
        xml.close("s:Body");
        xml.finish()
    }
}

impl Response {
    fn action(&self, manner: Manner) -> String {
        let (base, name) = self.parts(manner);
        format!("{base}/{name}")
    }

    /// The action's last part, for example `CreateResponse`.
    pub fn name(&self) -> &'static str {
        self.parts(Manner::WinRm).1
    }

    fn parts(&self, manner: Manner) -> (&'static str, &'static str) {
        match self {
            Self::Created { .. } => (ns::TRANSFER, "CreateResponse"),
            Self::Deleted => (ns::TRANSFER, "DeleteResponse"),
            Self::Got(_) => (ns::TRANSFER, "GetResponse"),
            Self::Enumerated(_) => (ns::ENUMERATION, "EnumerateResponse"),
            Self::Pulled(_) => (ns::ENUMERATION, "PullResponse"),
            Self::Commanded { .. } => (ns::SHELL, "CommandResponse"),
            Self::Sent => (ns::SHELL, "SendResponse"),
            Self::Received(_) => (ns::SHELL, "ReceiveResponse"),
            Self::Signaled => (ns::SHELL, "SignalResponse"),
            Self::Disconnected => (ns::SHELL, "DisconnectResponse"),
            Self::Reconnected => (ns::SHELL, "ReconnectResponse"),
            Self::Connected { .. } => (ns::SHELL, "ConnectResponse"),
            Self::Fault(_) => (fault::ACTION_BASES[usize::from(manner == Manner::Omi)], "fault"),
        }
    }

    fn write(&self, xml: &mut Xml, manner: Manner) {
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
            Self::Fault(fault) => write_fault(fault, xml, manner),
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
    /// `prefix` is the namespace in which this kind of answer has its items and its end.
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
        let length = |duration: Option<Duration>| duration.map(super::duration::format);
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

fn write_fault(fault: &fault::Fault, xml: &mut Xml, manner: Manner) {
    let english = &[("xml:lang", "en-US")];
    xml.open("s:Fault", &[]);
    xml.open("s:Code", &[]);
    xml.text("s:Value", &[], if fault.is_timed_out() { "s:Receiver" } else { "s:Sender" });
    if let Some(subcode) = &fault.subcode {
        xml.open("s:Subcode", &[]);
        xml.text("s:Value", &[], subcode);
        xml.close("s:Subcode");
    }
    xml.close("s:Code");
    xml.open("s:Reason", &[]);
    xml.text("s:Text", english, &fault.text);
    xml.close("s:Reason");
    xml.open("s:Detail", &[]);
    match manner {
        Manner::WinRm => {
            let code = fault.code.map(|code| code.to_string());
            let mut attributes = vec![("xmlns:f", ns::FAULT)];
            attributes.extend(code.iter().map(|code| ("Code", code.as_str())));
            attributes.extend(fault.machine.iter().map(|machine| ("Machine", machine.as_str())));
            xml.open("f:WSManFault", &attributes);
            xml.text("f:Message", &[], &fault.text);
            xml.optional("f:RedirectLocation", fault.redirect.as_deref());
            xml.close("f:WSManFault");
        }
        Manner::Omi => {
            xml.open("p:OMI_Error", &[]);
            xml.text("p:Message", &[], &fault.text);
            xml.close("p:OMI_Error");
        }
    }
    xml.close("s:Detail");
    xml.close("s:Fault");
}
