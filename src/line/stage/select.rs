//! Select-Object and ForEach-Object.

use std::collections::VecDeque;

use super::bind::BoundParameters;
use super::each::{Each, Stage};
use super::property::Property;
use crate::line::block::{block, computed};
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::inspect::member;
use crate::line::members::{properties, well_known};
use crate::line::value::{access, object};
use crate::psrp::clixml::{Name, Value};
use crate::wildcard::like;

struct Select {
    properties: Vec<Property>,
    excluded: Vec<String>,
    expand: Option<String>,
    unique: bool,
    seen: Vec<Value>,
    skip: usize,
    first: Option<usize>,
    last: Option<usize>,
    tail: VecDeque<Value>,
    variables: Variables,
}

pub fn select(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    Ok(Box::new(Select {
        properties: Property::all(bound, "Property")?,
        excluded: bound.names("ExcludeProperty"),
        expand: bound.text("ExpandProperty"),
        unique: bound.switch("Unique"),
        seen: Vec::new(),
        skip: bound.count("Skip")?.unwrap_or(0),
        first: bound.count("First")?,
        last: bound.count("Last")?,
        tail: VecDeque::new(),
        variables: bound.variables.clone(),
    }))
}

impl Select {
    fn shape(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        if let Some(name) = &self.expand {
            let Some(inner) = member(&value, name).or_else(|| well_known(&value, name)) else {
                return Err(LineError(format!("Select-Object: Property \"{name}\" cannot be found.")));
            };
            match inner.items() {
                Some(items) => items.iter().cloned().for_each(|item| self.give(item, out)),
                None => self.give(inner, out),
            }
            return Ok(());
        }
        let shaped =
            if self.properties.is_empty() && self.excluded.is_empty() { value } else { self.picked(&value) };
        self.give(shaped, out);
        Ok(())
    }

    fn picked(&self, value: &Value) -> Value {
        let pairs: Vec<(Name, Value)> = if self.properties.is_empty() {
            properties(value)
        } else {
            self.properties.iter().flat_map(|property| property.pairs(value, &self.variables)).collect()
        };
        let mut chosen: Vec<(Name, Value)> = Vec::new();
        for (name, of) in pairs {
            let excluded = self.excluded.iter().any(|pattern| like(pattern, &name));
            if !excluded && !chosen.iter().any(|(has, _)| has.eq_ignore_ascii_case(&name)) {
                chosen.push((name, of));
            }
        }
        object(chosen)
    }

    fn give(&mut self, value: Value, out: &mut Vec<Value>) {
        if self.unique {
            if self.seen.contains(&value) {
                return;
            }
            self.seen.push(value.clone());
        }
        out.push(value);
    }
}

impl Stage for Select {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        // Only with -Last alone, -Skip counts from the end.
        if self.skip > 0 && (self.first.is_some() || self.last.is_none()) {
            self.skip -= 1;
            return Ok(());
        }
        match (&mut self.first, self.last) {
            (Some(first @ 1..), _) => {
                *first -= 1;
                self.shape(value, out)
            }
            (_, Some(last)) => {
                self.tail.push_back(value);
                if self.tail.len() > last.saturating_add(self.skip) {
                    self.tail.pop_front();
                }
                Ok(())
            }
            (Some(0), None) => Ok(()),
            (None, None) => self.shape(value, out),
        }
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        let keep = self.tail.len().saturating_sub(self.skip);
        let kept: Vec<_> = std::mem::take(&mut self.tail).into_iter().take(keep).collect();
        kept.into_iter().try_for_each(|value| self.shape(value, out))
    }

    fn is_done(&self) -> bool {
        self.first == Some(0) && self.last.is_none()
    }
}

/// Builds ForEach-Object with a member's name or a block of expressions.
pub fn for_each(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let variables = bound.variables.clone();
    let give = |value: Value, out: &mut Vec<Value>| match value.items() {
        Some(items) => out.extend(items.iter().cloned()),
        None => out.push(value),
    };
    Ok(match bound.get("Process").or_else(|| bound.get("MemberName")) {
        Some(Value::ScriptBlock(text)) => {
            let block = block(bound.name, text)?;
            Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
                if !block.is_empty() {
                    give(computed(&block, &value, &variables)?, out);
                }
                Ok(())
            }))
        }
        Some(name) => {
            let name = name.display_text();
            Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
                give(access(&value, &name), out);
                Ok(())
            }))
        }
        None => {
            return Err(bound.wrong("expected a member name or a block: ForEach-Object { $_.DisplayName }."));
        }
    })
}
