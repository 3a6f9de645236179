//! Identify (DSP0226 11): the one request without headers, which returns the server's identity.

use super::write::Xml;
use super::*;

const NAMESPACE: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
const PROTOCOL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";

/// Identity of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub vendor: String,
    pub version: String,
}

/// Returns whether an envelope is an Identify request.
pub fn is_identify(bytes: &[u8]) -> bool {
    let root = std::str::from_utf8(bytes).ok().and_then(|text| tree::parse(text).ok());
    let body = root.as_ref().and_then(|root| root.child(ns::SOAP, "Body"));
    body.is_some_and(|body| body.child(NAMESPACE, "Identify").is_some())
}

impl Identity {
    /// Returns the response to Identify.
    pub fn write(&self) -> Vec<u8> {
        let mut xml = Xml::new();
        xml.empty("s:Header", &[]);
        xml.open("s:Body", &[]);
        xml.open("wsmid:IdentifyResponse", &[("xmlns:wsmid", NAMESPACE)]);
        xml.text("wsmid:ProtocolVersion", &[], PROTOCOL);
        xml.text("wsmid:ProductVendor", &[], &self.vendor);
        xml.text("wsmid:ProductVersion", &[], &self.version);
        xml.close("wsmid:IdentifyResponse");
        xml.close("s:Body");
        xml.finish()
    }
}
