//! Objects on their way to the screen: of one type at a time, as tables and lists.

use super::draw::{self, View};
use super::evaluate::Variables;
use super::stage::format::{Form, list_lines, table_lines};
use super::views::Views;
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;

/// Objects that are held back before they are drawn, so that columns fit.
const AT_ONCE: usize = 500;

/// Draws what a line gives.
pub struct Printer {
    width: usize,
    views: Views,
    held: Vec<Value>,
}

impl Printer {
    /// `width`: columns of the screen.
    pub fn new(width: usize, views: Views) -> Self {
        Self { width, views, held: Vec::new() }
    }

    /// Has views known that came after it was made.
    pub fn learn(&mut self, views: Views) {
        self.views = views;
    }

    /// The lines that can be shown now.
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
        if draw::default_view(value) == View::Text {
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
            first.type_names() == value.type_names()
                && draw::property_names(first) == draw::property_names(value)
        };
        if self.held.first().is_some_and(|first| !same(first)) || self.held.len() >= AT_ONCE {
            lines = self.finish();
        }
        self.held.push(value.clone());
        lines
    }

    /// The lines that were held back.
    pub fn finish(&mut self) -> Vec<String> {
        let held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else { return Vec::new() };
        let nothing = Variables::default();
        match self.views.of(first) {
            Some(view) if view.is_list => list_lines(&view.properties, &held, self.width, &nothing),
            Some(view) => {
                let form = Form { variables: &nothing, auto_size: false, hide_headers: false, wrap: false };
                table_lines(&view.properties, &held, self.width, form)
            }
            None => draw::draw(&draw::default_view(first), &held, self.width),
        }
    }
}
