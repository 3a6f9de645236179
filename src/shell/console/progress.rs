//! Progress records as a bar at the foot of the terminal.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crossterm::{cursor, terminal};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::psrp::record::ProgressRecord;

/// Drawings a second at most.
const UPDATES: u8 = 20;
/// Columns that `^C` takes.
const INTERRUPT_ECHO: u16 = 2;

/// The bars of the running pipeline, one an activity. Clones share them.
#[derive(Clone)]
pub struct Progress {
    bars: MultiProgress,
    activities: Arc<Mutex<HashMap<i32, ProgressBar>>>,
    shown: bool,
}

impl Progress {
    /// Draws on standard error where `shown`, nothing otherwise.
    pub fn new(shown: bool) -> Self {
        let target = if shown {
            ProgressDrawTarget::term_like_with_hz(Box::new(Foot), UPDATES)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { bars: MultiProgress::with_draw_target(target), activities: Arc::default(), shown }
    }

    /// Runs `write` with the bars out of its way.
    pub fn suspended<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.shown { self.bars.suspend(write) } else { write() }
    }

    /// Takes a record: a new activity, another state of it, or its end.
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
        bar.set_prefix(record.activity.clone());
        let operation = record.current_operation.as_deref().filter(|text| !text.is_empty());
        bar.set_message(match operation {
            Some(operation) => format!("{}: {operation}", record.status),
            None => record.status.clone(),
        });
        if known {
            bar.set_position(u64::from(record.percent.unsigned_abs().min(100)));
        } else {
            bar.tick();
        }
    }

    /// Takes every bar away: the pipeline has ended.
    pub fn clear(&self) {
        let Ok(mut activities) = self.activities.lock() else { return };
        for (_, bar) in activities.drain() {
            bar.finish_and_clear();
        }
    }
}

/// Standard error, a little narrower than it is: the `^C` that a terminal shows has room behind a bar,
/// so that the cursor stays on the bar's line and the line can be cleared.
#[derive(Debug)]
struct Foot;

impl Foot {
    fn queue(command: impl crossterm::Command) -> std::io::Result<()> {
        crossterm::execute!(std::io::stderr(), command)
    }
}

impl TermLike for Foot {
    fn width(&self) -> u16 {
        let columns = crossterm::terminal::size().map_or(80, |(columns, _)| columns);
        columns.saturating_sub(INTERRUPT_ECHO + 1).max(1)
    }

    fn height(&self) -> u16 {
        crossterm::terminal::size().map_or(24, |(_, rows)| rows)
    }

    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveUp)
    }

    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveDown)
    }

    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveRight)
    }

    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveLeft)
    }

    fn write_line(&self, s: &str) -> std::io::Result<()> {
        std::io::stderr().write_all(format!("{s}\n").as_bytes())
    }

    fn write_str(&self, s: &str) -> std::io::Result<()> {
        std::io::stderr().write_all(s.as_bytes())
    }

    fn clear_line(&self) -> std::io::Result<()> {
        Self::queue(cursor::MoveToColumn(0))?;
        Self::queue(terminal::Clear(terminal::ClearType::CurrentLine))
    }

    fn flush(&self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Moving by nothing would move by one.
fn rows<C: crossterm::Command>(n: usize, command: impl Fn(u16) -> C) -> std::io::Result<()> {
    match u16::try_from(n) {
        Ok(0) => Ok(()),
        Ok(n) => Foot::queue(command(n)),
        Err(_) => Ok(()),
    }
}

fn style(known: bool) -> ProgressStyle {
    let template =
        if known { "{prefix} [{bar:24}] {percent}% {wide_msg}" } else { "{spinner} {prefix} {wide_msg}" };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
