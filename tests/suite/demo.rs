//! `lyncsh demo`, as a person sits before it and as a script pipes into it.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn piped(lines: &str) -> (String, String, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lyncsh"))
        .arg("demo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_piped_demo_prints_the_tenant_and_ends_well() {
    let (out, err, code) = piped("Get-CsTenant\nexit\n");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("DisplayName                : Litware"), "{out}");
}

#[test]
fn the_last_command_that_failed_is_the_exit_code() {
    let (_, err, code) = piped("Get-CsTenant\nGet-CsNothing\n");
    assert_eq!(code, Some(1));
    let (out, _, good) = piped("Get-CsNothing\nGet-CsTenant\n");
    assert_eq!(good, Some(0));
    assert!((out + &err).contains("The term 'Get-CsNothing' is not recognized as a name of a cmdlet"));
}

#[test]
fn stages_run_here_on_the_objects_of_the_endpoint() {
    let (out, err, code) = piped(concat!(
        "Get-CsOnlineUser | Select-Object DisplayName, SipAddress\n",
        "Set-CsUser kenmyer -EnterpriseVoiceEnabled $true\n",
        "$user = Get-CsOnlineUser kenmyer\n",
        "\"voice: $user\" | Measure-Object | ForEach-Object Count\n",
        "$user.EnterpriseVoiceEnabled\n",
        "Get-CsOnlineUser | where { $_.EnterpriseVoiceEnabled -eq $true -and $_.DisplayName -like 'Ken*' } | ft DisplayName\n",
        "Get-CsOnlineUser | sort DisplayName -Descending | select -First 1 -ExpandProperty DisplayName\n",
        "Get-CsOnlineUser | select DisplayName | ConvertTo-Csv\n",
    ));
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(out.contains("Ken Myer       sip:kenmyer@litwareinc.com"), "{out}");
    assert!(out.contains("\nTrue\n"), "{out}");
    assert!(out.contains("\nPilar Ackerman\n"), "{out}");
    assert!(out.contains("\"DisplayName\"\n\"Ken Myer\"\n\"Pilar Ackerman\"\n"), "{out}");
}

/// A person's terminal with a program in it.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keys: Arc<Mutex<Box<dyn std::io::Write + Send>>>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Terminal {
    fn open(arguments: &[&str]) -> Self {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lyncsh"));
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(40, 120, 1000)));
        let (seen, answers) = (screen.clone(), keys.clone());
        std::thread::spawn(move || {
            let _master = pair.master;
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let asked = piece[..length].windows(4).filter(|four| four == b"\x1b[6n").count();
                let (row, column) = {
                    let mut screen = seen.lock().unwrap();
                    screen.process(&piece[..length]);
                    screen.screen().cursor_position()
                };
                // The line editor asks where the cursor is.
                for _ in 0..asked {
                    let _ = write!(answers.lock().unwrap(), "\x1b[{};{}R", row + 1, column + 1);
                }
            }
        });
        Self { screen, keys, child }
    }

    fn press(&self, keys: &str) {
        let mut out = self.keys.lock().unwrap();
        out.write_all(keys.as_bytes()).unwrap();
        out.flush().unwrap();
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn sees(&self, wanted: impl Fn(&str) -> bool, what: &str) {
        let since = Instant::now();
        while !wanted(&self.text()) {
            assert!(since.elapsed() < PATIENCE, "{what} did not come:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn prompts(&self) {
        self.sees(|text| text.trim_end().ends_with("[demo] PS>"), "the prompt");
    }

    /// Types a line, sees its answer, and the prompt again.
    fn run(&self, line: &str, answer: &str) {
        self.press(line);
        self.press("\r");
        self.sees(|text| text.contains(answer), answer);
        self.prompts();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_person_works_in_the_demo() {
    let mut terminal = Terminal::open(&["demo"]);
    terminal.prompts();
    terminal.run("Get-CsTenant", "DisplayName                : Litware");
    terminal.run("Get-CsOnlineUser | Select-Object DisplayName, SipAddress", "sip:kenmyer@litwareinc.com");
    terminal.press("Set-CsUser kenmyer -Ent\t");
    terminal.sees(
        |text| text.contains("Set-CsUser kenmyer -EnterpriseVoiceEnabled"),
        "the parameter's completion",
    );
    terminal.press(" $true -Confirm\r");
    terminal.sees(|text| text.contains("[Y] Yes  [A] Yes to All"), "the question");
    terminal.press("y\r");
    terminal.prompts();
    terminal.run("(1,2,3) | Measure-Object | select Count", "3");
    terminal.run("Get-CsOnlineUser kenmyer | fl EnterpriseVoiceEnabled", "EnterpriseVoiceEnabled : True");
    terminal.press("Start-CsExMeetingMigration kenmyer\r");
    terminal.sees(|text| text.contains('%'), "the progress bar");
    terminal.press("\x03");
    terminal.prompts();
    terminal.run("Get-CsOnlineUser | Measure-Object | fl Count", "Count : ");
    terminal.press("exit\r");
    let since = Instant::now();
    let status = loop {
        if let Some(status) = terminal.child.try_wait().unwrap() {
            break status;
        }
        assert!(since.elapsed() < PATIENCE, "exit did not end it:\n{}", terminal.text());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.exit_code(), 0, "{}", terminal.text());
}
