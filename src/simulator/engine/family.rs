//! Kinds of policies and configurations with their properties and verbs.

mod table;

pub use table::FAMILIES;

use super::spec::{Kind, ParameterSpec, parameter};
use super::value::{Properties, strings, text};
use crate::psrp::clixml::Value;

/// A kind of policy or configuration.
#[derive(Debug)]
pub struct Family {
    /// Noun of the cmdlets, such as `CsClientPolicy`.
    pub noun: &'static str,
    pub type_name: &'static str,
    /// Available verbs among Get, Set, New, Remove and Grant.
    pub verbs: &'static [Verb],
    /// Initial instances.
    pub instances: &'static [&'static str],
    pub properties: &'static [(&'static str, Initial)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Set,
    New,
    Remove,
    Grant,
}

/// Default value of a property, which also defines its type.
#[derive(Clone, Copy, Debug)]
pub enum Initial {
    Bool(bool),
    Int(i32),
    Text(&'static str),
    /// A null string.
    Unset,
    /// A null number.
    NoInt,
    Span(&'static str),
    /// Any objects, shown as text.
    Objects,
    /// An enum: type name, values, index of the default.
    One(&'static str, &'static [&'static str], usize),
}

impl Initial {
    fn kind(self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::NoInt => Kind::Int,
            Self::Text(_) | Self::Unset => Kind::String,
            Self::Span(_) => Kind::TimeSpan,
            Self::Objects => Kind::Object,
            Self::One(name, values, _) => Kind::Enum(name, values),
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::I32(value),
            Self::Text(value) => text(value),
            Self::Unset | Self::NoInt => Value::Null,
            Self::Span(value) => Value::Duration(value.into()),
            Self::Objects => strings(Vec::<String>::new()),
            Self::One(name, values, at) => Value::enumeration(
                name,
                values.get(at).copied().unwrap_or_default(),
                i32::try_from(at).unwrap_or_default(),
            ),
        }
    }
}

impl Family {
    fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
    pub fn grants(&self) -> bool {
        self.has(Verb::Grant)
    }
    /// Returns the user property that a grant sets.
    pub fn granted_as(&self) -> &'static str {
        self.noun.strip_prefix("Cs").unwrap_or(self.noun)
    }
    /// Returns the default values of an instance.
    pub fn defaults(&self, identity: &str) -> Properties {
        let unrestricted = identity == "Tag:NoFederationAndPIC";
        self.properties
            .iter()
            .map(|(name, default)| {
                let value = match default {
                    Initial::Bool(_) if unrestricted => Value::Bool(false),
                    other => other.value(),
                };
                ((*name).into(), value)
            })
            .collect()
    }
    pub fn property_parameters(&self) -> Vec<ParameterSpec> {
        self.properties.iter().map(|(name, default)| parameter(*name, default.kind())).collect()
    }
}
