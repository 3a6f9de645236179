//! What went wrong in a console: `$Error`, and whether anything did.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;

/// Errors that are kept ($MaximumErrorCount in Windows PowerShell).
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub struct Troubles {
    /// The newest first.
    records: Mutex<VecDeque<Value>>,
    /// Whether one was written.
    any: AtomicBool,
}

impl Troubles {
    /// Keeps an error; `is_written`: it was shown, or went where the error stream was redirected to.
    pub fn add(&self, record: Value, is_written: bool) {
        if let Ok(mut records) = self.records.lock() {
            records.push_front(record);
            records.truncate(KEPT);
        }
        if is_written {
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// An error was written of which no record is known.
    pub fn written(&self) {
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether an error was written.
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

/// The record of an error that was made here.
pub fn record(text: &str) -> Value {
    ErrorRecord::new(text, "System.Management.Automation.RuntimeException", "Console").to_value()
}
