//! Progress records as bars in the status line.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::psrp::record::ProgressRecord;
use crate::screen::{Stream, clean_line, cut};
use crate::shell::status_line;

/// Returns the columns for an activity's name, which leave room for its state on a narrow terminal.
fn activity_columns() -> usize {
    Stream::Error.columns().map_or(30, |columns| (columns / 3).clamp(10, 30))
}

/// Progress bars of the running pipeline, one for each activity. Clones share them.
#[derive(Clone)]
pub struct Progress {
    bars: MultiProgress,
    activities: Arc<Mutex<HashMap<i32, ProgressBar>>>,
    shown: bool,
}

impl Progress {
    /// Draws on standard error if `shown`, otherwise nothing.
    pub fn new(shown: bool) -> Self {
        let target = if shown { status_line::target() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), activities: Arc::default(), shown }
    }

    /// Runs `write` with the bars hidden.
    pub fn suspended<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.shown { self.bars.suspend(write) } else { write() }
    }

    /// Shows a record: a new activity, a new state, or its end.
    pub fn take(&self, record: &ProgressRecord) {
        if !self.shown {
            return;
        }
        let Ok(mut activities) = self.activities.lock() else { return };
        if record.completed {
            if let Some(bar) = activities.remove(&record.activity_id) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar =
            activities.entry(record.activity_id).or_insert_with(|| self.bars.add(ProgressBar::new(100)));
        let known = record.percent >= 0;
        bar.set_style(style(known));
        bar.set_prefix(one_line(&record.activity, activity_columns()));
        let operation = record.current_operation.as_deref().filter(|text| !text.is_empty());
        let message = match operation {
            Some(operation) => format!("{}: {operation}", record.status),
            None => record.status.clone(),
        };
        bar.set_message(clean_line(&message).into_string());
        if known {
            bar.set_position(u64::from(record.percent.unsigned_abs().min(100)));
        } else {
            bar.tick();
        }
    }

    /// Removes all bars at the end of the pipeline.
    pub fn clear(&self) {
        let Ok(mut activities) = self.activities.lock() else { return };
        for (_, bar) in activities.drain() {
            bar.finish_and_clear();
        }
    }
}

/// Cleans and cuts text of the endpoint to one line of at most `columns`.
fn one_line(text: &str, columns: usize) -> String {
    let shown = clean_line(text).into_string();
    match cut(&shown, columns) {
        (_, "") => shown,
        _ => format!("{}…", cut(&shown, columns.saturating_sub(1)).0),
    }
}

fn style(known: bool) -> ProgressStyle {
    let template =
        if known { "{prefix} [{bar:12}] {percent}% {wide_msg}" } else { "{spinner} {prefix}: {wide_msg}" };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
