//! Objects on their way to the screen: of one type at a time, as tables and lists.

use super::draw::{self, View};
use crate::psrp::clixml::Value;

/// Objects that are held back before they are drawn, so that columns fit.
const AT_ONCE: usize = 500;

/// Draws what a line gives.
pub struct Printer {
    width: usize,
    held: Vec<Value>,
}

impl Printer {
    /// `width`: columns of the screen.
    pub fn new(width: usize) -> Self {
        Self { width, held: Vec::new() }
    }

    /// The lines that can be shown now.
    pub fn push(&mut self, value: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        if draw::default_view(value) == View::Text {
            lines = self.finish();
            match value.items() {
                Some(items) => items.iter().for_each(|item| lines.extend(self.push(item))),
                None => lines.extend(draw::cell(value).split('\n').map(str::to_owned)),
            }
            return lines;
        }
        if self.held.first().is_some_and(|first| draw::property_names(first) != draw::property_names(value))
            || self.held.len() >= AT_ONCE
        {
            lines = self.finish();
        }
        self.held.push(value.clone());
        lines
    }

    /// The lines that were held back.
    pub fn finish(&mut self) -> Vec<String> {
        let held = std::mem::take(&mut self.held);
        held.first()
            .map(|first| draw::draw(&draw::default_view(first), &held, self.width))
            .unwrap_or_default()
    }
}
