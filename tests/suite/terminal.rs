//! A pseudo-terminal with a program: its screen, its keys, and answers to the queries of a line editor.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::program::{PATIENCE, found, holds};

/// Time for the last output of an ended program to arrive.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

type Keys = Arc<Mutex<Box<dyn std::io::Write + Send>>>;

/// A terminal running a program, which is killed at the end of the test.
pub struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    keys: Keys,
    pub child: Box<dyn portable_pty::Child + Send + Sync>,
    reading: std::thread::JoinHandle<()>,
    master: Option<Box<dyn MasterPty + Send>>,
}

fn size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts a program in a terminal of this many columns and rows.
    pub fn start((columns, rows): (u16, u16), command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size((columns, rows))).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys: Keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 1000)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers, bytes) = (screen.clone(), keys.clone(), raw.clone());
        let reading = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A query may be split between two reads.
            let mut before = Vec::new();
            while let Ok(length @ 1..) = output.read(&mut piece) {
                bytes.lock().unwrap().extend_from_slice(&piece[..length]);
                before.extend_from_slice(&piece[..length]);
                let position = {
                    let mut screen = seen.lock().unwrap();
                    screen.process(&piece[..length]);
                    screen.screen().cursor_position()
                };
                for answer in answered(&before, position) {
                    let mut keys = answers.lock().unwrap();
                    let _ = keys.write_all(answer.as_bytes()).and_then(|()| keys.flush());
                }
                let begun = before.iter().rposition(|byte| *byte == 0x1b).map(|from| before.split_off(from));
                before =
                    begun.filter(|rest| QUESTIONS.iter().any(|one| is_begun(one, rest))).unwrap_or_default();
            }
        });
        Self { screen, raw, keys, child, reading, master: Some(pair.master) }
    }

    pub fn press(&self, keys: &str) {
        let mut out = self.keys.lock().unwrap();
        out.write_all(keys.as_bytes()).unwrap();
        out.flush().unwrap();
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        self.press(text);
        self.press("\r");
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Returns every byte that the terminal received.
    pub fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    pub fn hides_cursor(&self) -> bool {
        self.screen.lock().unwrap().screen().hide_cursor()
    }

    pub fn wait_for_text(&self, wanted: &str) {
        self.wait_until(wanted, |text| text.contains(wanted));
    }

    /// Waits for a line of the screen with exactly this text.
    pub fn sees_line(&self, wanted: &str) {
        self.wait_until(wanted, |text| text.lines().any(|line| line.trim_end() == wanted));
    }

    /// Waits for a prompt: the last line begins and ends with these texts.
    pub fn prompts(&self, begin: &str, end: &str) {
        self.wait_until(&format!("the prompt {begin}…{end}"), |text| {
            let last = text.trim_end().lines().last().unwrap_or_default();
            last.starts_with(begin) && last.ends_with(end)
        });
    }

    /// Waits for the last line, where the user types.
    pub fn ends_with(&self, wanted: &str) {
        self.wait_until(wanted, |text| text.trim_end().ends_with(wanted.trim_end()));
    }

    pub fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let came = holds(PATIENCE, || wanted(&self.text()));
        assert!(came, "{what} did not come. The terminal shows:\n{}", self.text());
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.master.as_ref().unwrap().resize(size((columns, rows))).unwrap();
    }

    /// Closes the window.
    pub fn close(&mut self) {
        self.master = None;
        *self.keys.lock().unwrap() = Box::new(std::io::sink());
        // The reading thread has a copy: only its end closes the terminal.
        let _ = self.child.kill();
    }

    /// Returns the program's process id.
    pub fn process(&self) -> Option<u32> {
        self.child.process_id()
    }

    /// Waits for the end; returns the exit code.
    pub fn wait_exit(&mut self) -> u32 {
        let status = found(PATIENCE, || self.child.try_wait().unwrap());
        let code = status
            .unwrap_or_else(|| panic!("the program does not end. The terminal shows:\n{}", self.text()))
            .exit_code();
        // The terminal ends with its last process, which may be another one.
        let _ = holds(LAST_OUTPUT, || self.reading.is_finished());
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Queries for cursor position, status and type of the terminal.
const QUESTIONS: [&[u8]; 4] = [b"\x1b[6n", b"\x1b[5n", b"\x1b[c", b"\x1b[0c"];

fn is_begun(question: &[u8], by: &[u8]) -> bool {
    by.len() < question.len() && question.starts_with(by)
}

/// Returns the answers to the queries: cursor position, status, type.
fn answered(asked: &[u8], (row, column): (u16, u16)) -> Vec<String> {
    let count = |question: &[u8]| asked.windows(question.len()).filter(|part| *part == question).count();
    let place = format!("\x1b[{};{}R", row + 1, column + 1);
    let answers = [place.as_str(), "\x1b[0n", "\x1b[?1;2c", "\x1b[?1;2c"];
    let all = QUESTIONS.iter().zip(answers);
    all.flat_map(|(question, answer)| vec![answer.to_owned(); count(question)]).collect()
}
