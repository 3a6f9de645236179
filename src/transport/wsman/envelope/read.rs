//! Reads envelopes of both sides.

mod parts;
mod request;
mod response;

pub use parts::{ReadError, Reason};

use self::parts::{Envelope, text};
use super::ns;
use super::{RequestEnvelope, ResponseEnvelope};

impl RequestEnvelope {
    /// Reads a client's request.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let envelope = Envelope::read(bytes)?;
        request::read_request(&envelope)
            .map_err(|reason| ReadError { message_id: envelope.message_id(), reason })
    }
}

impl ResponseEnvelope {
    /// Reads a server's response. The body determines its kind; the action is used only if the body is empty.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let envelope = Envelope::read(bytes)?;
        let relates_to = text(&envelope.header, ns::ADDRESSING, "RelatesTo");
        let response = response::read_response(&envelope)
            .map_err(|reason| ReadError { message_id: envelope.message_id(), reason })?;
        Ok(Self { message_id: envelope.message_id().unwrap_or_default(), relates_to, response })
    }
}
