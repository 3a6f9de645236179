//! Output of a command that runs in many profiles: each result with its profile, as it comes or in order.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::json;
use tempfile::SpooledTempFile;
use tokio_util::sync::CancellationToken;

use crate::commands::connect::drawing;
use crate::line::data::{DataFormat, Encoder};
use crate::output;
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;
use crate::screen::{Colour, Stream, clean};
use crate::shell::console::exec::{ErrorFormat, ExecOutput, error_json, failure_json};

/// Maximum size in bytes of a result that is kept in memory; a larger result is kept in a temporary file.
const IN_MEMORY: usize = 64 * 1024;
/// Size in bytes of the pieces in which a result is copied.
const PIECE: usize = 64 * 1024;
/// Maximum number of errors of one profile in the JSON document.
const MOST_ERRORS: usize = 1000;

/// Writer of all results.
pub struct Results {
    format: Option<DataFormat>,
    errors: ErrorFormat,
    is_ordered: bool,
    folder: PathBuf,
    inner: Mutex<Inner>,
    lost: OnceLock<io::Error>,
    /// Cancelled when standard output cannot be written.
    stop: CancellationToken,
}

struct Inner {
    /// Encoder of objects that are written one by one.
    encoder: Encoder,
    /// Number of printed results.
    printed: usize,
    /// The next result in order.
    next: usize,
    /// Results that wait for earlier ones.
    held: HashMap<usize, Finished>,
}

/// A result with its exit code; `None` if the profile did not run.
struct Finished {
    result: Arc<ProfileOutput>,
    exit_code: Option<u8>,
}

/// Output of one profile.
pub struct ProfileOutput {
    name: String,
    results: Arc<Results>,
    kept: Mutex<BufferedOutput>,
}

/// Buffered output of one profile.
struct BufferedOutput {
    /// Encoder of the output in the JSON document.
    encoder: Encoder,
    output: SpooledTempFile,
    is_empty: bool,
    ends_line: bool,
    errors: Vec<serde_json::Value>,
    dropped_errors: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Results {
    /// `folder`: for temporary files. `stop` is cancelled when standard output cannot be written.
    pub fn new(
        format: Option<DataFormat>,
        errors: ErrorFormat,
        is_ordered: bool,
        folder: &Path,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let inner = Inner {
            encoder: Encoder::new(format.unwrap_or(DataFormat::JsonLines)),
            printed: 0,
            next: 0,
            held: HashMap::new(),
        };
        let folder = folder.to_owned();
        Arc::new(Self {
            format,
            errors,
            is_ordered,
            folder,
            inner: Mutex::new(inner),
            lost: OnceLock::new(),
            stop,
        })
    }

    pub fn of(self: &Arc<Self>, name: &str) -> Arc<ProfileOutput> {
        let kept = BufferedOutput {
            encoder: Encoder::new(DataFormat::Json),
            output: tempfile::spooled_tempfile_in(IN_MEMORY, &self.folder),
            is_empty: true,
            ends_line: true,
            errors: Vec::new(),
            dropped_errors: 0,
        };
        Arc::new(ProfileOutput { name: name.to_owned(), results: self.clone(), kept: Mutex::new(kept) })
    }

    /// Prints the result of the profile at `index`, after those before it if they are ordered.
    pub fn end(&self, index: usize, result: Arc<ProfileOutput>, exit_code: Option<u8>) {
        let mut inner = locked(&self.inner);
        let finished = Finished { result, exit_code };
        if !self.is_ordered {
            return self.keep(self.print(&mut inner, &finished));
        }
        inner.held.insert(index, finished);
        loop {
            let next = inner.next;
            let Some(finished) = inner.held.remove(&next) else { return };
            self.keep(self.print(&mut inner, &finished));
            inner.next += 1;
        }
    }

    /// Ends the document.
    pub fn finish(&self) {
        let mut inner = locked(&self.inner);
        let text = match self.format {
            None => return,
            Some(DataFormat::Json) if inner.printed == 0 => "[\n]\n".to_owned(),
            Some(DataFormat::Json) => "\n]\n".to_owned(),
            Some(_) => inner.encoder.take_head() + inner.encoder.end(),
        };
        self.keep(self.write(&text));
    }

    /// Returns the first error of standard output.
    pub fn lost(&self) -> Option<&io::Error> {
        self.lost.get()
    }

    fn print(&self, inner: &mut Inner, finished: &Finished) -> io::Result<()> {
        let mut kept = locked(&finished.result.kept);
        let name = &finished.result.name;
        match self.format {
            None if kept.is_empty => return Ok(()),
            None => {
                let blank = if inner.printed > 0 { "\n" } else { "" };
                self.write(&format!("{blank}{name}:\n"))?;
                if !kept.ends_line {
                    kept.output.write_all(b"\n")?;
                }
                self.copy(&mut kept)?;
            }
            Some(DataFormat::Json) => {
                let start = if inner.printed == 0 { "[" } else { "," };
                let (label, code) = (json!(name), json!(finished.exit_code));
                self.write(&format!("{start}\n{{\"profile\":{label},\"exit_code\":{code},\"output\":"))?;
                self.write(&kept.encoder.take_head())?;
                self.copy(&mut kept)?;
                let dropped = kept.dropped_errors;
                if dropped > 0 {
                    let message = format!("{dropped} more errors");
                    kept.errors.push(json!({ "message": message }));
                }
                let errors = serde_json::Value::from(std::mem::take(&mut kept.errors));
                self.write(&format!("{},\"errors\":{errors}}}", kept.encoder.end().trim_end()))?;
            }
            Some(_) => {
                if !kept.is_empty {
                    self.write(&inner.encoder.take_head())?;
                }
                self.copy(&mut kept)?;
            }
        }
        inner.printed += 1;
        Ok(())
    }

    fn copy(&self, kept: &mut BufferedOutput) -> io::Result<()> {
        kept.output.rewind()?;
        let mut reader = BufReader::new(&mut kept.output);
        let mut piece = Vec::new();
        loop {
            let read = (&mut reader).take(PIECE as u64).read_until(b'\n', &mut piece)?;
            if read == 0 || piece.len() >= PIECE {
                let is_end = read == 0;
                let end = match std::str::from_utf8(&piece) {
                    Ok(_) => piece.len(),
                    Err(error) => error.valid_up_to(),
                };
                self.write(&String::from_utf8_lossy(&piece[..end]))?;
                piece.drain(..end);
                if is_end {
                    return Ok(());
                }
            }
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        if text.is_empty() || self.lost.get().is_some() {
            return Ok(());
        }
        drawing().suspend(|| output::data(text))
    }

    fn keep(&self, written: io::Result<()>) {
        if let Err(error) = written {
            // The first error is reported.
            let _ = self.lost.set(error);
            self.stop.cancel();
        }
    }

    /// Writes a message of one profile to standard error.
    fn message(&self, text: &str) {
        drawing().suspend(|| {
            // A closed stream is not an error.
            let _ = Stream::Error.write(&Stream::Error.message(&format!("{text}\n"), 0));
        });
    }
}

impl ProfileOutput {
    /// Reports an error of lyncsh itself, not of the command.
    pub fn fail(&self, text: &str, help: Option<&str>) {
        let error = failure_json(text, help);
        let text = help.map_or_else(|| text.to_owned(), |help| format!("{text}\n  {help}"));
        self.report(error, &text);
    }

    fn report(&self, mut error: serde_json::Value, text: &str) {
        if self.results.format == Some(DataFormat::Json) {
            let mut kept = locked(&self.kept);
            if kept.errors.len() < MOST_ERRORS {
                kept.errors.push(error);
            } else {
                kept.dropped_errors += 1;
            }
            return;
        }
        match self.results.errors {
            ErrorFormat::Text => self.results.message(&format!("{}: {text}", self.name)),
            ErrorFormat::Json => {
                if let Some(members) = error.as_object_mut() {
                    members.insert("profile".to_owned(), self.name.as_str().into());
                }
                let line = clean(&format!("{error}\n"), Colour::Drop);
                drawing().suspend(|| {
                    // A closed stream is not an error.
                    let _ = Stream::Error.write(&line);
                });
            }
        }
    }

    fn spool(&self, text: &str) -> io::Result<()> {
        let mut kept = locked(&self.kept);
        kept.is_empty &= text.is_empty();
        if !text.is_empty() {
            kept.ends_line = text.ends_with('\n');
        }
        kept.output.write_all(text.as_bytes())
    }
}

impl ExecOutput for ProfileOutput {
    fn takes_objects(&self) -> bool {
        self.results.format.is_some()
    }

    fn object(&self, value: &Value) -> io::Result<()> {
        let mut text = String::new();
        if self.results.format == Some(DataFormat::Json) {
            let mut kept = locked(&self.kept);
            kept.encoder.object(value, None, &mut text);
            kept.is_empty = false;
            return kept.output.write_all(text.as_bytes());
        }
        let mut inner = locked(&self.results.inner);
        inner.encoder.object(value, Some(&self.name), &mut text);
        if self.results.is_ordered {
            drop(inner);
            return self.spool(&text);
        }
        let text = inner.encoder.take_head() + &text;
        self.results.keep(self.results.write(&text));
        Ok(())
    }

    fn text(&self, text: &str) -> io::Result<()> {
        if self.results.format.is_none() {
            return self.spool(text);
        }
        self.results.message(&format!("{}: {}", self.name, text.trim_end_matches('\n')));
        Ok(())
    }

    fn error(&self, text: &str, record: Option<&ErrorRecord>) {
        self.report(error_json(text, record), text);
    }

    fn message(&self, text: &str) {
        self.results.message(&format!("{}: {text}", self.name));
    }

    fn is_one_of_many(&self) -> bool {
        true
    }
}
