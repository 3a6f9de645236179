//! Output of `lyncsh exec`: text as in the console, or data for another program; errors on standard error.

use std::io;
use std::sync::Mutex;

use serde_json::json;

use crate::line::data::{DataFormat, Encoder};
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;
use crate::screen::{self, Colour, RESET, Stream, clean};

/// Size in bytes at which buffered data is written.
const BUFFER: usize = 64 * 1024;

/// Receiver of the output of a command.
pub trait ExecOutput: Send + Sync {
    /// Returns whether objects are written as data instead of being drawn.
    fn takes_objects(&self) -> bool;

    fn object(&self, value: &Value) -> io::Result<()>;

    /// Takes drawn objects, and the host output of the endpoint.
    fn text(&self, text: &str) -> io::Result<()>;

    fn error(&self, text: &str, record: Option<&ErrorRecord>);

    /// Takes a warning, or another message in the colour of its kind.
    fn message(&self, text: &str);

    /// Writes buffered data.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Ends the data. Has no effect the second time.
    fn finish(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether other commands run in this process at the same time.
    fn is_one_of_many(&self) -> bool {
        false
    }
}

/// Format of errors.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorFormat {
    #[default]
    #[value(help = "Text")]
    Text,
    #[value(help = "One JSON object in each line")]
    Json,
}

/// Returns an error as JSON: its text and the fields of its record.
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

/// Returns an error of lyncsh itself, not of the command, as JSON.
pub fn failure_json(text: &str, help: Option<&str>) -> serde_json::Value {
    let mut error = error_json(text, None);
    if let (Some(help), Some(members)) = (help, error.as_object_mut()) {
        members.insert("help".to_owned(), help.into());
    }
    error
}

/// The standard streams as the output of one command.
pub struct Standard {
    data: Option<Mutex<Buffered>>,
    errors: ErrorFormat,
}

struct Buffered {
    encoder: Encoder,
    text: String,
    is_ended: bool,
}

impl Standard {
    /// `format`: the data to write; `None` draws objects as the console does.
    pub fn new(format: Option<DataFormat>, errors: ErrorFormat) -> Self {
        let buffered = |format| {
            Mutex::new(Buffered { encoder: Encoder::new(format), text: String::new(), is_ended: false })
        };
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

impl ErrorFormat {
    /// Writes an error of lyncsh itself, not of the command, to standard error.
    pub fn report(self, text: &str, help: Option<&str>) {
        match self {
            Self::Json => line_of(&failure_json(text, help)),
            Self::Text => [Some(text), help].into_iter().flatten().for_each(|line| crate::errln!("{line}")),
        }
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
        if self.data.is_some() {
            // A closed stream is not an error.
            let _ = Stream::Error.write(&clean(text, Stream::Error.colour()));
            return Ok(());
        }
        let stream = Stream::Output;
        if stream.is_terminal() {
            stream.write(&clean(text, stream.colour()))
        } else {
            stream.write_raw(text.as_bytes())
        }
    }

    fn error(&self, text: &str, record: Option<&ErrorRecord>) {
        match self.errors {
            ErrorFormat::Text => screen::write_message(&format!("\u{1b}[31;1m{text}{RESET}")),
            ErrorFormat::Json => line_of(&error_json(text, record)),
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
            if std::mem::replace(&mut data.is_ended, true) {
                return false;
            }
            let head = data.encoder.take_head();
            data.text.insert_str(0, &head);
            data.text.push_str(data.encoder.end());
            true
        })
    }
}

/// Writes JSON as one line to standard error.
fn line_of(json: &serde_json::Value) {
    // A closed stream is not an error.
    let _ = Stream::Error.write(&clean(&format!("{json}\n"), Colour::Drop));
}
