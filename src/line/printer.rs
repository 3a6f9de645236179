//! Output of objects to the screen as tables and lists, in runs of one type.

use super::draw::{self, View};
use super::evaluate::Variables;
use super::inspect::property_names;
use super::layout::{Form, shape_lines};
use super::members;
use super::stage::property::Property;
use super::stage::{MATCH, is_local_file};
use super::views::{Shape, Views};
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;

/// Maximum number of objects buffered to fit column widths.
const AT_ONCE: usize = 500;

/// Draws the output of a line.
pub struct Printer {
    width: usize,
    views: Views,
    held: Vec<Value>,
}

impl Printer {
    /// `width`: maximum width of a line.
    pub fn new(width: usize, views: Views) -> Self {
        Self { width, views, held: Vec::new() }
    }

    /// Replaces the views with newly fetched ones.
    pub fn learn(&mut self, views: Views) {
        self.views = views;
    }

    /// Adds an object; returns the lines that can be shown now.
    pub fn push(&mut self, value: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        if value.is_type("System.Management.Automation.ErrorRecord") {
            lines = self.finish();
            let text = super::error::render(&ErrorRecord::read(value));
            lines.extend(text.split('\n').map(|line| line.trim_end_matches('\r').to_owned()));
            return lines;
        }
        if let Some(entries) = value.entries() {
            for (key, one) in entries {
                lines.extend(self.push(&super::value::typed_object(
                    "System.Collections.DictionaryEntry",
                    vec![("Name".into(), key.clone()), ("Value".into(), one.clone())],
                )));
            }
            return lines;
        }
        if value.is_type(MATCH) {
            if self.held.first().is_some_and(|first| !first.is_type(MATCH)) {
                lines = self.finish();
            }
            if self.held.is_empty() {
                lines.push(String::new());
                self.held.push(value.clone());
            }
            lines.push(value.display_text());
            return lines;
        }
        if self.is_text(value) {
            lines = self.finish();
            match value.items() {
                Some(items) => items.iter().for_each(|item| lines.extend(self.push(item))),
                None if *value == Value::Null => {}
                None => lines
                    .extend(draw::cell(value).split('\n').map(|line| line.trim_end_matches('\r').to_owned())),
            }
            return lines;
        }
        let same = |first: &Value| {
            let key = || self.views.key(first).filter(|key| self.views.key(value).as_ref() == Some(key));
            is_local_file(first) && is_local_file(value)
                || kind(first) == kind(value) && property_names(first) == property_names(value)
                || key().is_some()
        };
        if self.held.first().is_some_and(|first| !same(first)) || self.held.len() >= AT_ONCE {
            lines = self.finish();
        }
        self.held.push(value.clone());
        lines
    }

    /// Returns whether a value is shown as text instead of its properties.
    fn is_text(&self, value: &Value) -> bool {
        let has_form = matches!(value.primitive(), Value::DateTime(_) | Value::Uri(_));
        !has_form && self.views.of(value).is_none() && draw::default_view(value) == View::Text
    }

    /// Returns the buffered lines.
    pub fn finish(&mut self) -> Vec<String> {
        let held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else { return Vec::new() };
        if first.is_type(MATCH) {
            // Its lines have been drawn.
            return vec![String::new()];
        }
        if matches!(first.primitive(), Value::DateTime(_)) {
            let dates = held.iter().map(members::date_text);
            return std::iter::once(String::new()).chain(dates).chain([String::new()]).collect();
        }
        let shape = match (self.views.of(first), first.primitive()) {
            (Some(shape), _) => shape,
            (None, Value::Uri(_)) => {
                Shape { is_list: true, properties: vec![Property::everything()], group: None }
            }
            (None, _) => return draw::draw(&draw::default_view(first), &held, self.width),
        };
        let nothing = Variables::default();
        let form = Form { variables: &nothing, auto_size: false, drawn: draw::Form::default() };
        shape_lines(&shape, &held, self.width, form)
    }
}

/// Returns the type names of a value, also of a primitive.
fn kind(value: &Value) -> Vec<&str> {
    match value.type_names() {
        names if names.is_empty() => value.primitive().type_names(),
        names => names,
    }
}
