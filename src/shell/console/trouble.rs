//! Errors of a console: `$Error` and the error flag for the exit code.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;

/// Maximum number of errors kept ($MaximumErrorCount in Windows PowerShell).
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub struct ErrorLog {
    /// Newest first.
    records: Mutex<VecDeque<Value>>,
    /// Set once an error was written.
    any: AtomicBool,
}

impl ErrorLog {
    /// Keeps an error. `is_written`: the error was shown or redirected.
    pub fn add(&self, record: Value, is_written: bool) {
        if let Ok(mut records) = self.records.lock() {
            records.push_front(record);
            records.truncate(KEPT);
        }
        if is_written {
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Notes an error without a record.
    pub fn written(&self) {
        self.any.store(true, Ordering::Relaxed);
    }

    /// Returns whether an error was written.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Returns the value of `$Error`.
    pub fn value(&self) -> Value {
        Value::array(
            self.records
                .lock()
                .map(|records| records.iter().cloned().collect::<Vec<_>>())
                .unwrap_or_default(),
        )
    }
}

/// Returns an error record for an error of the console itself.
pub fn record(text: &str) -> Value {
    ErrorRecord::new(text, "System.Management.Automation.RuntimeException", "Console").to_value()
}
