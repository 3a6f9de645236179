//! Output of `lyncsh exec`: text as in the console, or data for another program; errors on standard error.

use std::io;
use std::sync::Mutex;

use serde_json::json;

use crate::line::data::{DataFormat, Encoder};
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;
use crate::screen::{self, Colour, RESET, Stream, clean};

/// Size of buffered data that is written.
const BUFFER: usize = 64 * 1024;

/// Receiver of the output of a command.
pub trait ExecOutput: Send + Sync {
    /// Returns whether objects are written as data instead of being drawn.
    fn takes_objects(&self) -> bool;

    fn object(&self, value: &Value) -> io::Result<()>;

    /// Takes drawn objects, and what the endpoint writes for a person.
    fn text(&self, text: &str) -> io::Result<()>;

    fn error(&self, text: &str, record: Option<&ErrorRecord>);

    /// Takes a warning, or another message in the colour of its kind.
    fn message(&self, text: &str);

    /// Writes buffered data.
    fn flush(&self) -> io::Result<()>;

    /// Ends the data.
    fn finish(&self) -> io::Result<()>;
}

/// Form of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorFormat {
    #[default]
    Text,
    /// One JSON object in each line.
    Json,
}

/// Returns an error as JSON: its text, and what its record says about it.
pub fn error_json(text: &str, record: Option<&ErrorRecord>) -> serde_json::Value {
    let Some(record) = record else { return json!({ "message": text }) };
    json!({
        "message": text,
        "id": record.fully_qualified_id,
        "category": record.category_name(),
        "exception": record.exception_type,
        "target": record.category_target_name,
        "command": record.command,
    })
}

/// The standard streams as the output of one command.
pub struct Standard {
    data: Option<Mutex<Buffered>>,
    errors: ErrorFormat,
}

struct Buffered {
    encoder: Encoder,
    text: String,
}

impl Standard {
    /// `format`: the data to write; `None` draws objects as the console does.
    pub fn new(format: Option<DataFormat>, errors: ErrorFormat) -> Self {
        let buffered = |format| Mutex::new(Buffered { encoder: Encoder::new(format), text: String::new() });
        Self { data: format.map(buffered), errors }
    }

    fn with_data(&self, change: impl FnOnce(&mut Buffered) -> bool) -> io::Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        let Ok(mut data) = data.lock() else { return Ok(()) };
        if !change(&mut data) || data.text.is_empty() {
            return Ok(());
        }
        let text = data.encoder.take_head() + &data.text;
        data.text.clear();
        crate::output::data(&text)
    }
}

impl ExecOutput for Standard {
    fn takes_objects(&self) -> bool {
        self.data.is_some()
    }

    fn object(&self, value: &Value) -> io::Result<()> {
        self.with_data(|data| {
            data.encoder.object(value, None, &mut data.text);
            data.text.len() >= BUFFER
        })
    }

    fn text(&self, text: &str) -> io::Result<()> {
        // Beside data, text is for the user.
        let stream = if self.data.is_some() { Stream::Error } else { Stream::Output };
        if stream.is_terminal() {
            stream.write(&clean(text, stream.colour()))
        } else {
            stream.write_raw(text.as_bytes())
        }
    }

    fn error(&self, text: &str, record: Option<&ErrorRecord>) {
        match self.errors {
            ErrorFormat::Text => screen::write_message(&format!("\u{1b}[31;1m{text}{RESET}")),
            ErrorFormat::Json => {
                let line = format!("{}\n", error_json(text, record));
                // A closed stream is not an error.
                let _ = Stream::Error.write(&clean(&line, Colour::Drop));
            }
        }
    }

    fn message(&self, text: &str) {
        screen::write_message(text);
    }

    fn flush(&self) -> io::Result<()> {
        self.with_data(|_| true)
    }

    fn finish(&self) -> io::Result<()> {
        self.with_data(|data| {
            let head = data.encoder.take_head();
            data.text.insert_str(0, &head);
            data.text.push_str(data.encoder.end());
            true
        })
    }
}
