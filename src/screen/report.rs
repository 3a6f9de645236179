//! Error reports, drawn by `miette`.

use std::fmt;

use miette::{Diagnostic, MietteHandler, MietteHandlerOpts, ReportHandler as _};

use super::{Colour, Shown, Stream, clean};

struct Drawn<'a>(&'a dyn Diagnostic, MietteHandler);

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.debug(self.0, f)
    }
}

/// Formats a report for a stream.
pub fn rendered(report: &miette::Report, stream: Stream) -> Shown {
    let colour = stream.colour();
    let mut options = MietteHandlerOpts::new()
        .color(colour == Colour::Keep)
        // A hyperlink is an OSC sequence.
        .terminal_links(false)
        .break_words(true);
    if let Some(columns) = stream.columns() {
        options = options.width(columns);
    }
    clean(&format!("{:?}", Drawn(report.as_ref(), options.build())), colour)
}

/// Writes a report to standard error.
pub fn print_report(report: &miette::Report) {
    let shown = rendered(report, Stream::Error);
    let _ = Stream::Error.write_raw(format!("{shown}\n").as_bytes());
}
