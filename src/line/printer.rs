//! Output of objects to the screen as tables and lists, in runs of one type.

use super::draw::{self, View};
use super::evaluate::Variables;
use super::layout::{Form, OpenView, open_shape, open_view};
use super::members;
use super::stage::property::Property;
use super::stage::{MATCH, is_local_file};
use super::views::{Shape, Views};
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;

/// Maximum number of objects that are buffered to fit the column widths.
const MAX_BUFFERED: usize = 500;

/// Printer of the output of a line. The first objects of a type are buffered, because they determine the widths of the
/// columns. Further objects are drawn as they arrive.
pub struct Printer {
    width: usize,
    views: Views,
    held: Vec<Value>,
    draw_after: usize,
    open: Option<Open>,
    /// Set if the buffered objects are another group of the table drawn last.
    is_next_group: bool,
}

/// Drawn output that further objects continue.
struct Open {
    /// An object of the output.
    sample: Value,
    /// `None` for dates.
    view: Option<OpenView>,
}

impl Printer {
    /// `width`: maximum width of a line.
    pub fn new(width: usize, views: Views) -> Self {
        Self { width, views, held: Vec::new(), draw_after: MAX_BUFFERED, open: None, is_next_group: false }
    }

    /// Sets the number of buffered objects after which output is drawn.
    pub fn drawing_after(mut self, objects: usize) -> Self {
        self.draw_after = objects.clamp(1, MAX_BUFFERED);
        self
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
        if let Some(entries) = super::value::entry_objects(value) {
            return entries.iter().flat_map(|entry| self.push(entry)).collect();
        }
        if value.is_type(MATCH) {
            if self.open.is_some() || self.held.first().is_some_and(|first| !first.is_type(MATCH)) {
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
            // As in PowerShell, a text does not end the table around it (verified).
            lines = self.draw();
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
            is_local_file(first) && is_local_file(value) || kind(first) == kind(value) || key().is_some()
        };
        let nothing = Variables::default();
        match self.open.as_ref().map(|open| (same(&open.sample), open.view.as_ref())) {
            Some((true, None)) => return vec![members::date_text(value)],
            Some((true, Some(view))) if view.takes(value, &nothing) => return view.object(value, &nothing),
            Some((true, Some(view))) => {
                self.is_next_group = !view.is_list();
                lines.extend(view.end());
                self.open = None;
            }
            Some((false, _)) => lines = self.finish(),
            None if self.held.first().is_some_and(|first| !same(first)) => lines = self.finish(),
            None => {}
        }
        self.held.push(value.clone());
        if self.held.len() >= self.draw_after {
            lines.extend(self.draw());
        }
        lines
    }

    /// Returns whether objects are buffered.
    pub fn is_holding(&self) -> bool {
        self.held.first().is_some_and(|first| !first.is_type(MATCH))
    }

    /// Returns whether a value is shown as text instead of its properties.
    fn is_text(&self, value: &Value) -> bool {
        let has_form = matches!(value.primitive(), Value::DateTime(_) | Value::Uri(_));
        !has_form && self.views.of(value).is_none() && draw::default_view(value) == View::Text
    }

    /// Draws the buffered objects, and ends the output.
    pub fn finish(&mut self) -> Vec<String> {
        let mut lines = self.draw();
        match self.open.take() {
            Some(Open { view: Some(view), .. }) => lines.extend(view.end()),
            Some(Open { view: None, .. }) => lines.push(String::new()),
            None => {}
        }
        lines
    }

    /// Draws the buffered objects. Further objects continue the output.
    pub fn draw(&mut self) -> Vec<String> {
        let held = std::mem::take(&mut self.held);
        let is_next_group = std::mem::take(&mut self.is_next_group);
        let Some(first) = held.first() else { return Vec::new() };
        if first.is_type(MATCH) {
            // The lines of the matches have been drawn.
            return vec![String::new()];
        }
        if matches!(first.primitive(), Value::DateTime(_)) {
            let dates = held.iter().map(members::date_text);
            let lines = std::iter::once(String::new()).chain(dates).collect();
            self.open = Some(Open { sample: first.clone(), view: None });
            return lines;
        }
        let shape = match (self.views.of(first), first.primitive()) {
            (Some(shape), _) => shape,
            (None, Value::Uri(_)) => {
                Shape { is_list: true, properties: vec![Property::everything()], group: None }
            }
            (None, _) => {
                let view = draw::default_view(first);
                let Some((lines, open)) = open_view(&view, &held, self.width) else {
                    return draw::draw(&view, &held, self.width);
                };
                self.open = Some(Open { sample: first.clone(), view: Some(open) });
                return lines;
            }
        };
        let nothing = Variables::default();
        let form = Form { variables: &nothing, auto_size: false, drawn: draw::Form::default() };
        let (mut lines, open) = open_shape(&shape, &held, self.width, form);
        self.open = open.map(|view| Open { sample: first.clone(), view: Some(view) });
        if is_next_group {
            // The group before this one already ended with a blank line.
            lines.remove(0);
        }
        lines
    }
}

/// Returns the type names of a value, which may be a primitive.
fn kind(value: &Value) -> Vec<&str> {
    match value.type_names() {
        names if names.is_empty() => value.primitive().type_names(),
        names => names,
    }
}
