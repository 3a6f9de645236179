//! Reads a primitive's element (MS-PSRP 2.2.5.1).

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::limits::ReadError;
use super::source::{Source, Tag};
use crate::psrp::clixml::{Secure, Value};

/// Reads a primitive; `None` if the element is not a primitive.
pub(super) fn read<'a>(source: &mut Source<'a>, tag: &Tag<'a>) -> Result<Option<Value>, ReadError> {
    Ok(Some(match tag.name() {
        "Nil" => {
            source.skip(tag)?;
            Value::Null
        }
        "S" => Value::String(source.text(tag)?.into_owned()),
        "URI" => Value::Uri(source.text(tag)?.into_owned()),
        "XD" => Value::Xml(source.text(tag)?.into_owned()),
        "SBK" => Value::ScriptBlock(source.text(tag)?.into_owned()),
        "Version" => Value::Version(trimmed(source, tag)?.into_owned()),
        "DT" => Value::DateTime(trimmed(source, tag)?.into_owned()),
        "TS" => Value::Duration(trimmed(source, tag)?.into_owned()),
        "D" => Value::Decimal(decimal(&trimmed(source, tag)?)?),
        "C" => Value::Char(number(source, tag)?),
        "By" => Value::U8(number(source, tag)?),
        "SB" => Value::I8(number(source, tag)?),
        "U16" => Value::U16(number(source, tag)?),
        "I16" => Value::I16(number(source, tag)?),
        "U32" => Value::U32(number(source, tag)?),
        "I32" => Value::I32(number(source, tag)?),
        "U64" => Value::U64(number(source, tag)?),
        "I64" => Value::I64(number(source, tag)?),
        "Sg" => Value::Single(number(source, tag)?),
        "Db" => Value::Double(number(source, tag)?),
        "B" => Value::Bool(match trimmed(source, tag)?.as_ref() {
            "true" | "True" | "1" => true,
            "false" | "False" | "0" => false,
            other => return Err(bad(tag, other)),
        }),
        "G" => {
            let text = trimmed(source, tag)?;
            Value::Guid(Uuid::parse_str(&text).map_err(|_| bad(tag, &text))?)
        }
        "BA" => Value::Bytes(bytes(source, tag)?),
        "SS" => Value::Secure(Secure::Wire(bytes(source, tag)?)),
        _ => return Ok(None),
    }))
}

fn trimmed<'a>(source: &mut Source<'a>, tag: &Tag<'a>) -> Result<Cow<'a, str>, ReadError> {
    Ok(match source.text(tag)? {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
        Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
    })
}

/// Reads a number. Rust's parsers accept XML Schema's numbers, including `INF` and `NaN`.
fn number<'a, T: FromStr>(source: &mut Source<'a>, tag: &Tag<'a>) -> Result<T, ReadError> {
    let text = trimmed(source, tag)?;
    text.parse().map_err(|_| bad(tag, &text))
}

fn decimal(text: &str) -> Result<String, ReadError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain && digits.bytes().any(|b| b.is_ascii_digit()) && digits.matches('.').count() < 2 {
        Ok(text.to_owned())
    } else {
        Err(ReadError::malformed("<D> is not a decimal number"))
    }
}

fn bytes<'a>(source: &mut Source<'a>, tag: &Tag<'a>) -> Result<Vec<u8>, ReadError> {
    let mut text = source.raw_text(tag)?.into_owned();
    text.retain(|c| !c.is_ascii_whitespace());
    // The text is omitted from the error, because it may be a secret.
    STANDARD.decode(text).map_err(|_| ReadError::Malformed(format!("<{}> is not base64", tag.name())))
}

fn bad(tag: &Tag<'_>, text: impl Display) -> ReadError {
    let shown: String = text.to_string().chars().take(40).collect();
    ReadError::Malformed(format!("invalid <{}>: {shown:?}", tag.name()))
}
