//! Pseudo-terminal with `lyncsh`, which answers the queries of a line editor.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

use crate::program::{PATIENCE, found, holds, lyncsh};
use crate::world::World;

const SIZE: PtySize = PtySize { rows: 50, cols: 160, pixel_width: 0, pixel_height: 0 };

type Keys = Arc<Mutex<Box<dyn std::io::Write + Send>>>;

pub struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keys: Keys,
    child: Box<dyn Child + Send + Sync>,
}

impl Terminal {
    /// Starts `lyncsh NAME`. The PowerShell has a separate home without the user's profile.
    pub fn open(world: &World, name: &str) -> Self {
        Self::run(world, &[name, "--", "-NoProfile"])
    }

    pub fn run(world: &World, arguments: &[&str]) -> Self {
        let pair = native_pty_system().openpty(SIZE).unwrap();
        let mut command = CommandBuilder::new(lyncsh());
        command.args(arguments);
        // Keeps a prompt with the folder short.
        command.cwd("/");
        command.env("TERM", "xterm-256color");
        command.env("NO_COLOR", "1");
        // English, and UTF-8 for input and output.
        command.env("LC_ALL", "C.UTF-8");
        command.env("HOME", world.temp.path());
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            command.env(name, world.temp.path().join(name));
        }
        command.env("LYNCSH_CONFIG_DIR", world.temp.path());
        command.env("POWERSHELL_TELEMETRY_OPTOUT", "1");
        command.env("POWERSHELL_UPDATECHECK", "Off");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys: Keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(SIZE.rows, SIZE.cols, 1000)));
        let (seen, answers) = (screen.clone(), keys.clone());
        std::thread::spawn(move || {
            let _master = pair.master;
            let mut piece = [0; 4096];
            // A query may be split between two reads.
            let mut before = Vec::new();
            while let Ok(length @ 1..) = output.read(&mut piece) {
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
        Self { screen, keys, child }
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

    pub fn waits(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let came = holds(PATIENCE, || wanted(&self.text()));
        assert!(came, "{what} did not come. The terminal shows:\n{}", self.text());
    }

    pub fn sees(&self, wanted: &str) {
        self.waits(wanted, |text| text.contains(wanted));
    }

    /// Waits for a line of the screen with exactly this text.
    pub fn sees_line(&self, wanted: &str) {
        self.waits(wanted, |text| text.lines().any(|line| line.trim_end() == wanted));
    }

    /// Waits for a prompt: the last line begins and ends with these texts.
    pub fn prompts(&self, begin: &str, end: &str) {
        self.waits(&format!("the prompt {begin}…{end}"), |text| {
            let last = text.trim_end().lines().last().unwrap_or_default();
            last.starts_with(begin) && last.ends_with(end)
        });
    }

    /// Returns the process id of lyncsh.
    pub fn process(&self) -> Option<u32> {
        self.child.process_id()
    }

    /// Waits for the end; returns the exit code.
    pub fn ended(&mut self) -> u32 {
        let status = found(PATIENCE, || self.child.try_wait().unwrap());
        status.unwrap_or_else(|| panic!("it does not end. The terminal shows:\n{}", self.text())).exit_code()
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

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
