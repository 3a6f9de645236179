//! The pages of an output: lines that are drawn and not shown yet.

use std::collections::VecDeque;

use super::terminal::Terminal;
use crate::line::{Printer, Views};
use crate::psrp::clixml::Value;

/// User action that ended an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PagerExit {
    Quit,
    /// Ctrl-C.
    Interrupted,
}

/// The pages of a pipeline's output.
pub(super) struct Pager {
    pub(super) printer: Printer,
    /// Lines that are not shown yet.
    pub(super) ready: VecDeque<String>,
    /// Rows until the next question; `None` if output is not paged.
    pub(super) left: Option<usize>,
    /// Set once the user has ended the output.
    pub(super) turned: Option<PagerExit>,
}

impl Pager {
    pub(super) fn new(terminal: &Terminal) -> Self {
        let (columns, rows) = terminal.size();
        let (width, page) = (usize::from(columns).saturating_sub(1).max(1), rows_of(terminal));
        let mut printer = Printer::new(width, Views::default());
        if terminal.interactive {
            // Objects that fill a page are enough to fit its columns.
            printer = printer.drawing_after(usize::from(rows));
        }
        Self { printer, ready: VecDeque::new(), left: terminal.interactive.then_some(page), turned: None }
    }

    /// Replaces the views with newly fetched ones.
    pub(super) fn learn(&mut self, views: Views) {
        self.printer.learn(views);
    }

    pub(super) fn is_holding(&self) -> bool {
        self.turned.is_none() && self.printer.is_holding()
    }

    /// Draws the buffered objects.
    pub(super) fn draw(&mut self) {
        let lines = self.printer.draw();
        self.ready.extend(lines);
    }

    pub(super) fn take(&mut self, value: &Value) {
        if self.turned.is_none() {
            self.ready.extend(self.printer.push(value));
        }
    }
}

/// Returns the rows of a page.
pub(super) fn rows_of(terminal: &Terminal) -> usize {
    usize::from(terminal.size().1).saturating_sub(1).max(1)
}
