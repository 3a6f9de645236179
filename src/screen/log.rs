//! Log lines on standard error.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Stream, clean};

/// Maximum number of lines that wait for the end of a live screen.
const MAX_HELD: usize = 1000;

/// The lines that wait for the end of a live screen; `None` without one.
static HELD: Mutex<Option<Lines>> = Mutex::new(None);

/// Standard error for the log. Each event is written in one call, and may contain text of an endpoint.
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *held() {
            Some(lines) => lines.push(bytes),
            None => write(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    Stream::Error.write(&clean(&String::from_utf8_lossy(bytes), Stream::Error.colour()))
}

fn held() -> MutexGuard<'static, Option<Lines>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last lines of a log.
#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Vec<u8>>,
    /// Number of earlier lines that are left out.
    left_out: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        if self.lines.len() == MAX_HELD {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(bytes.to_owned());
    }

    fn into_lines(self) -> impl Iterator<Item = Vec<u8>> {
        let note =
            (self.left_out > 0).then(|| format!("{} earlier lines of the log are left out\n", self.left_out));
        note.map(String::into_bytes).into_iter().chain(self.lines)
    }
}

/// Guard that holds the log back while lyncsh draws a live screen, so that the log does not write over the screen.
/// Dropping the guard writes the lines. A log that goes to a file is not held back.
#[must_use]
pub struct HeldLog(());

impl HeldLog {
    pub fn start() -> Self {
        if Stream::Error.is_terminal() {
            *held() = Some(Lines::default());
        }
        Self(())
    }
}

impl Drop for HeldLog {
    fn drop(&mut self) {
        let lines = held().take();
        // The terminal may be gone.
        lines.into_iter().flat_map(Lines::into_lines).for_each(|line| drop(write(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut lines = Lines::default();
        (0..MAX_HELD).for_each(|line| lines.push(line.to_string().as_bytes()));
        assert_eq!(lines.left_out, 0);
        ["x", "y"].iter().for_each(|line| lines.push(line.as_bytes()));
        let lines: Vec<String> = lines.into_lines().map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(lines[..2], ["2 earlier lines of the log are left out\n", "2"]);
        assert_eq!(lines[lines.len() - 2..], ["x", "y"]);
    }
}
