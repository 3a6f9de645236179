//! Writes a client's request.

use super::super::duration::format;
use super::*;

impl RequestEnvelope {
    /// Returns the envelope as bytes.
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
            xml.text("w:OperationTimeout", &[], &format(timeout));
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

impl WsmanRequest {
    /// Returns the action's URI.
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
            Self::Reconnect { .. } => (ns::SHELL, "Reconnect"),
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
                xml.optional("rsp:IdleTimeOut", idle_timeout.map(format).as_deref());
                xml.optional("rsp:BufferMode", buffer_mode.as_deref());
                xml.close("rsp:Disconnect");
            }
            Self::Reconnect { command } => {
                with_id(xml, "rsp:Reconnect", *command);
                xml.close("rsp:Reconnect");
            }
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
        xml.optional("rsp:IdleTimeOut", self.idle_timeout.map(format).as_deref());
        xml.bytes("creationXml", &[("xmlns", ns::POWERSHELL)], &self.data);
        xml.close("rsp:Shell");
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
