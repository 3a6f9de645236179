//! SPNEGO's tokens in DER (RFC 4178 4.2, MS-SPNG 2.2.1).
//!
//! The crate `der`, which RSA keys need anyway, reads the TLVs. Its derived structures do not support the two
//! meanings of field [3] of the first token (MS-SPNG).

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber};

use crate::security::ContextError;

const SPNEGO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.2");
pub const NTLM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.2.10");
const KERBEROS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113554.1.2.2");
/// Kerberos with a bit lost, an error of Windows 2000 that Windows still offers first (MS-SPNG 3.1.5.2).
const MS_KERBEROS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.48018.1.2.2");

/// A mechanism in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offered {
    Kerberos,
    Ntlm,
    /// NegoEx or an unknown mechanism.
    Other,
}

impl Offered {
    fn new(oid: &[u8]) -> Self {
        match oid {
            _ if oid == NTLM.as_bytes() => Self::Ntlm,
            _ if oid == KERBEROS.as_bytes() || oid == MS_KERBEROS.as_bytes() => Self::Kerberos,
            _ => Self::Other,
        }
    }
}

/// The states of a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    AcceptCompleted,
    AcceptIncomplete,
    Reject,
    RequestMic,
}

/// NegTokenInit.
#[derive(Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// The list of mechanisms in DER, unchanged, because mechListMIC signs it.
    pub list: &'a [u8],
    pub mechanisms: Vec<Offered>,
    pub token: Option<&'a [u8]>,
    pub mic: Option<&'a [u8]>,
}

/// NegTokenResp.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    pub state: Option<State>,
    /// The value of the chosen mechanism's object identifier.
    pub mechanism: Option<&'a [u8]>,
    pub token: Option<&'a [u8]>,
    pub mic: Option<&'a [u8]>,
}

const WHAT: &str = "SPNEGO token";

pub fn malformed(reason: impl Into<String>) -> ContextError {
    ContextError::Malformed { what: WHAT, reason: reason.into() }
}

fn invalid(error: der::Error) -> ContextError {
    malformed(error.to_string())
}

/// The first token of a mechanism (RFC 2743 3.1).
const INITIAL: Tag = Tag::Application { constructed: true, number: TagNumber(0) };

const fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

/// Reads a single TLV without trailing bytes.
fn only(bytes: &[u8], tag: Tag) -> Result<&[u8], ContextError> {
    let any = AnyRef::from_der(bytes).map_err(invalid)?;
    any.header().tag().assert_eq(tag).map_err(|error| malformed(error.to_string()))?;
    Ok(any.value())
}

/// Reads a sequence of TLVs.
fn each<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(Tag, &'a [u8]) -> Result<(), ContextError>,
) -> Result<(), ContextError> {
    let mut reader = SliceReader::new(bytes).map_err(invalid)?;
    while !reader.is_finished() {
        let any = AnyRef::decode(&mut reader).map_err(invalid)?;
        take(any.header().tag(), any.value())?;
    }
    Ok(())
}

/// Reads the numbered fields of a sequence: each once, in ascending order.
fn fields<'a>(
    sequence: &'a [u8],
    mut take: impl FnMut(u32, &'a [u8]) -> Result<(), ContextError>,
) -> Result<(), ContextError> {
    let mut next = 0;
    each(sequence, |tag, value| match tag {
        Tag::ContextSpecific { constructed: true, number } if number.0 >= next => {
            next = number.0 + 1;
            take(number.0, value)
        }
        _ => Err(malformed(format!("unexpected {tag}"))),
    })
}

/// Splits the first token of a mechanism into the mechanism's object identifier and the rest.
pub fn initial(bytes: &[u8]) -> Result<(&[u8], &[u8]), ContextError> {
    let content = only(bytes, INITIAL)?;
    // The rest of a Kerberos token is not DER (RFC 4121 4.1).
    let mut reader = SliceReader::new(content).map_err(invalid)?;
    let mechanism = AnyRef::decode(&mut reader).map_err(invalid)?;
    mechanism
        .header()
        .tag()
        .assert_eq(Tag::ObjectIdentifier)
        .map_err(|error| malformed(error.to_string()))?;
    let rest = reader.remaining_len();
    Ok((mechanism.value(), reader.read_slice(rest).map_err(invalid)?))
}

/// Returns the mechanism of a first token without SPNEGO.
pub fn bare(bytes: &[u8]) -> Result<Option<Offered>, ContextError> {
    let (mechanism, _) = initial(bytes)?;
    Ok((mechanism != SPNEGO.as_bytes()).then(|| Offered::new(mechanism)))
}

impl<'a> Init<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, ContextError> {
        let (mechanism, token) = initial(bytes)?;
        if mechanism != SPNEGO.as_bytes() {
            return Err(malformed("its mechanism is not SPNEGO"));
        }
        let sequence = only(only(token, context(0))?, Tag::Sequence)?;
        let mut init = Self { list: &[], mechanisms: Vec::new(), token: None, mic: None };
        fields(sequence, |number, value| {
            match number {
                0 => {
                    init.list = value;
                    each(only(value, Tag::Sequence)?, |tag, oid| {
                        tag.assert_eq(Tag::ObjectIdentifier).map_err(|error| malformed(error.to_string()))?;
                        init.mechanisms.push(Offered::new(oid));
                        Ok(())
                    })?;
                }
                2 => init.token = Some(only(value, Tag::OctetString)?),
                // mechListMIC, or the hints of MS-SPNG's NegTokenInit2, which has mechListMIC in [4].
                3 if value.first() == Some(&0x30) => {}
                3 | 4 => init.mic = Some(only(value, Tag::OctetString)?),
                _ => {}
            }
            Ok(())
        })?;
        if init.mechanisms.is_empty() { Err(malformed("it offers no mechanism")) } else { Ok(init) }
    }
}

impl<'a> Response<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, ContextError> {
        let sequence = only(only(bytes, context(1))?, Tag::Sequence)?;
        let mut response = Self::default();
        fields(sequence, |number, value| {
            match number {
                0 => {
                    response.state = Some(match only(value, Tag::Enumerated)? {
                        [0] => State::AcceptCompleted,
                        [1] => State::AcceptIncomplete,
                        [2] => State::Reject,
                        [3] => State::RequestMic,
                        _ => return Err(malformed("unknown negState")),
                    });
                }
                1 => response.mechanism = Some(only(value, Tag::ObjectIdentifier)?),
                2 => response.token = Some(only(value, Tag::OctetString)?),
                3 => response.mic = Some(only(value, Tag::OctetString)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(response)
    }

    pub fn write(&self) -> Result<Vec<u8>, ContextError> {
        let state = self.state.map(|state| match state {
            State::AcceptCompleted => [0],
            State::AcceptIncomplete => [1],
            State::Reject => [2],
            State::RequestMic => [3],
        });
        let mut sequence = Vec::new();
        for (number, tag, value) in [
            (0, Tag::Enumerated, state.as_ref().map(<[u8; 1]>::as_slice)),
            (1, Tag::ObjectIdentifier, self.mechanism),
            (2, Tag::OctetString, self.token),
            (3, Tag::OctetString, self.mic),
        ] {
            if let Some(value) = value {
                sequence.extend(tlv(context(number), &tlv(tag, value)?)?);
            }
        }
        tlv(context(1), &tlv(Tag::Sequence, &sequence)?)
    }
}

fn tlv(tag: Tag, value: &[u8]) -> Result<Vec<u8>, ContextError> {
    AnyRef::new(tag, value).and_then(|any| any.to_der()).map_err(invalid)
}

/// Returns the list of mechanisms of a client that supports only NTLM.
pub fn ntlm_list() -> Result<Vec<u8>, ContextError> {
    tlv(Tag::Sequence, &tlv(Tag::ObjectIdentifier, NTLM.as_bytes())?)
}

/// Writes NegTokenInit.
pub fn write_init(list: &[u8], token: &[u8]) -> Result<Vec<u8>, ContextError> {
    let fields = [tlv(context(0), list)?, tlv(context(2), &tlv(Tag::OctetString, token)?)?].concat();
    let token = tlv(context(0), &tlv(Tag::Sequence, &fields)?)?;
    tlv(INITIAL, &[tlv(Tag::ObjectIdentifier, SPNEGO.as_bytes())?, token].concat())
}
