//! State of the console's own cmdlets: the lines of the session, and the earlier folders.

use std::path::PathBuf;

use chrono::{DateTime, Local};

use crate::line;
use crate::psrp::clixml::{Object, Value, type_names};

/// Maximum number of lines that Get-History lists ($MaximumHistoryCount).
const MAX_LINES: usize = 4096;

/// State of the cmdlets of a console.
#[derive(Default)]
pub struct ConsoleState {
    lines: Vec<Entry>,
    /// The line that runs now.
    current: Option<(String, DateTime<Local>)>,
    /// Number of lines so far.
    count: usize,
    /// Earlier folders of Set-Location.
    pub before: Vec<PathBuf>,
    /// Set while Get-Command asks the endpoint.
    pub is_listing: bool,
}

/// A line of the session.
struct Entry {
    id: usize,
    text: String,
    status: &'static str,
    from: DateTime<Local>,
    to: DateTime<Local>,
}

impl Entry {
    /// Returns the HistoryInfo.
    fn value(&self) -> Value {
        let time = |at: DateTime<Local>| Value::DateTime(at.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string());
        let spent = (self.to - self.from).to_std().unwrap_or_default();
        let duration = format!("PT{}.{:06}S", spent.as_secs(), spent.subsec_micros());
        Object {
            type_names: type_names([line::HISTORY_INFO, "System.Object"]),
            to_string: Some(self.text.clone()),
            adapted: vec![
                ("Id".into(), Value::I64(i64::try_from(self.id).unwrap_or(i64::MAX))),
                ("CommandLine".into(), self.text.as_str().into()),
                ("ExecutionStatus".into(), self.status.into()),
                ("StartExecutionTime".into(), time(self.from)),
                ("EndExecutionTime".into(), time(self.to)),
                ("Duration".into(), Value::Duration(duration)),
            ],
            ..Object::default()
        }
        .into()
    }
}

impl ConsoleState {
    /// Begins a line.
    pub fn begin(&mut self, text: &str) {
        self.current = Some((text.to_owned(), Local::now()));
    }

    /// Ends the line that was begun, if any.
    pub fn end(&mut self, status: &'static str) {
        let Some((text, from)) = self.current.take() else { return };
        self.count += 1;
        self.lines.push(Entry { id: self.count, text, status, from, to: Local::now() });
        if self.lines.len() > MAX_LINES {
            self.lines.remove(0);
        }
    }

    /// Returns the lines with these ids (all if empty), at most the last `count`.
    ///
    /// # Errors
    /// The id that does not exist.
    pub fn history(&self, ids: &[usize], count: Option<usize>) -> Result<Vec<Value>, usize> {
        if let Some(missing) = ids.iter().find(|id| !self.lines.iter().any(|entry| entry.id == **id)) {
            return Err(*missing);
        }
        let is_meant = |entry: &&Entry| ids.is_empty() || ids.contains(&entry.id);
        let chosen: Vec<&Entry> = self.lines.iter().filter(is_meant).collect();
        let skip = count.map_or(0, |count| chosen.len().saturating_sub(count));
        Ok(chosen.into_iter().skip(skip).map(Entry::value).collect())
    }
}
