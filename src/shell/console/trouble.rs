//! Errors of a console: `$Error`, and the flag for the exit code.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;

/// Maximum number of stored errors ($MaximumErrorCount in Windows PowerShell).
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub struct Troubles {
    /// Newest first.
    records: Mutex<VecDeque<Value>>,
    /// Whether an error was written.
    any: AtomicBool,
}

impl Troubles {
    /// Stores an error; `is_written`: it was displayed or written to the redirected error stream.
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

    /// `$Error`
    pub fn value(&self) -> Value {
        Value::array(
            self.records
                .lock()
                .map(|records| records.iter().cloned().collect::<Vec<_>>())
                .unwrap_or_default(),
        )
    }
}

/// Creates the record of a local error.
pub fn record(text: &str) -> Value {
    ErrorRecord::new(text, "System.Management.Automation.RuntimeException", "Console").to_value()
}
