//! Entries of -Property: properties, wildcards, script blocks, and calculated properties
//! (about_Calculated_Properties).

use super::bind::BoundParameters;
use crate::line::block::{block, computed};
use crate::line::column::Script;
use crate::line::draw::Alignment;
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::inspect::{member, named};
use crate::line::members::{properties, well_known};
use crate::line::syntax::Expr;
use crate::line::value::{access, truth};
use crate::psrp::clixml::{Name, Value};
use crate::wildcard::like;

/// Source of a property's value.
#[derive(Clone, Debug)]
pub enum Source {
    /// A property, or a wildcard.
    Named(String),
    /// A script block of expressions.
    Computed(Vec<Expr>),
    /// The script of a view's column.
    Viewed(Script),
}

/// One entry of a -Property.
#[derive(Clone, Debug)]
pub struct Property {
    /// Label other than the property's name: a given name, or a script block's text.
    pub label: Option<String>,
    pub source: Source,
    /// Sort-Object's `descending` or `ascending`.
    pub descending: Option<bool>,
    /// Columns of the screen.
    pub width: Option<usize>,
    pub alignment: Alignment,
}

impl Property {
    /// Reads every entry of a parameter.
    pub fn all(bound: &BoundParameters, parameter: &str) -> Result<Vec<Self>, LineError> {
        bound.values(parameter).iter().map(|value| Self::read(bound.name, value)).collect()
    }

    fn read(cmdlet: &str, value: &Value) -> Result<Self, LineError> {
        let plain = |source| Self {
            label: None,
            source,
            descending: None,
            width: None,
            alignment: Alignment::Undefined,
        };
        let source = |value: &Value| {
            Ok::<_, LineError>(match value {
                Value::ScriptBlock(text) => Source::Computed(block(cmdlet, text)?),
                other => Source::Named(other.display_text()),
            })
        };
        let Some(entries) = value.entries() else {
            // A script block is labelled with its text.
            let label =
                if let Value::ScriptBlock(text) = value { Some(text.trim().to_owned()) } else { None };
            return Ok(Self { label, ..plain(source(value)?) });
        };
        let mut read = plain(Source::Named(String::new()));
        let mut has_expression = false;
        // `a` is `ascending` for Sort-Object, and `alignment` for Format-Table.
        let sorts = cmdlet == "Sort-Object";
        for (key, value) in entries {
            let written = key.display_text().to_lowercase();
            let is = |name: &str| !written.is_empty() && name.starts_with(&written);
            if is("name") || is("label") {
                read.label = Some(value.display_text());
            } else if is("expression") {
                read.source = source(value)?;
                has_expression = true;
            } else if sorts && is("descending") {
                read.descending = Some(truth(value));
            } else if sorts && is("ascending") {
                read.descending = Some(!truth(value));
            } else if is("width") {
                read.width = value.as_i64().and_then(|width| usize::try_from(width).ok());
            } else if is("alignment") {
                read.alignment = match value.display_text().to_lowercase().as_str() {
                    "left" => Alignment::Left,
                    "center" => Alignment::Center,
                    "right" => Alignment::Right,
                    other => {
                        return Err(LineError(format!(
                            "{cmdlet}: \"{other}\" is not one of left, center, right."
                        )));
                    }
                };
            } else if is("formatstring") {
                return Err(LineError::script(&format!("{cmdlet}: A format string")));
            } else {
                return Err(LineError(format!("{cmdlet}: The {} key is not valid.", key.display_text())));
            }
        }
        if !has_expression {
            return Err(LineError(format!(
                "{cmdlet}: The expression of a calculated property is missing: @{{ Name = 'x'; Expression = {{ $_.Property }} }}."
            )));
        }
        Ok(read)
    }

    /// Returns the wildcard for every property of an object.
    pub fn everything() -> Self {
        Self {
            label: None,
            source: Source::Named("*".into()),
            descending: None,
            width: None,
            alignment: Alignment::Undefined,
        }
    }

    /// Returns this entry for the property `name` that its wildcard matches.
    pub fn named(&self, name: &str) -> Self {
        let source = match &self.source {
            Source::Named(_) if self.label.is_none() => Source::Named(name.to_owned()),
            other => other.clone(),
        };
        Self { source, ..self.clone() }
    }

    /// Returns the property's label, or its name if it has no label.
    pub fn title(&self) -> String {
        match (&self.label, &self.source) {
            (Some(label), _) | (None, Source::Named(label)) => label.clone(),
            (None, Source::Computed(_) | Source::Viewed(_)) => String::new(),
        }
    }

    /// Returns whether an object has the property; every object has computed properties.
    pub fn is_of(&self, value: &Value) -> bool {
        match &self.source {
            Source::Named(name) => member(value, name).or_else(|| well_known(value, name)).is_some(),
            Source::Computed(_) | Source::Viewed(_) => true,
        }
    }

    /// Returns the value for an object; null for a missing property.
    pub fn of(&self, value: &Value, variables: &Variables) -> Result<Value, LineError> {
        match &self.source {
            Source::Named(name) => Ok(access(value, name)),
            Source::Computed(block) => computed(block, value, variables),
            Source::Viewed(script) => script.compute(value, variables),
        }
    }

    /// Returns the matching properties of an object with their values. A script that fails gives null, as in
    /// PowerShell.
    pub fn pairs(&self, value: &Value, variables: &Variables) -> Vec<(Name, Value)> {
        if let Source::Named(pattern) = &self.source
            && self.label.is_none()
        {
            if pattern.contains(['*', '?', '[']) {
                return properties(value).into_iter().filter(|(name, _)| like(pattern, name)).collect();
            }
            let known = named(value).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(pattern));
            if let Some((name, one)) = known {
                return vec![(Name::clone(name), one.clone())];
            }
            let known = properties(value).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(pattern));
            return vec![known.unwrap_or_else(|| (pattern.as_str().into(), access(value, pattern)))];
        }
        let of = self.of(value, variables).unwrap_or_default();
        vec![(self.title().into(), of)]
    }
}
