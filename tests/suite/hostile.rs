//! Hostile endpoint that sends terminal sequences in every text that is displayed (`tests/peers/hostile.py`).
//! Checks the bytes that reach the terminal.

use crate::agent_world::World;
use crate::program::{Ran, lyncsh};
use crate::stand_in::Terminal;

/// Sequences that only the endpoint sends. SGR and the line editor's sequences are not among them.
const FORBIDDEN: [&str; 14] = [
    "\u{1b}]",
    "\u{7}",
    "\u{1b}P",
    "\u{1b}_",
    "\u{1b}\\",
    "\u{1b}c",
    "\u{1b}[2J",
    "\u{1b}[5n",
    "\u{9b}",
    "\u{9d}",
    "\u{9c}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
];

fn assert_harmless(bytes: &[u8]) {
    // A single byte is a C1 control for a terminal without UTF-8.
    let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{bytes:?}"));
    for one in FORBIDDEN {
        let at = text.find(one).map(|at| text[..at].chars().rev().take(60).collect::<Vec<_>>());
        let before = at.map(|before| before.into_iter().rev().collect::<String>());
        assert_eq!(before, None, "{one:?} came behind this text");
    }
}

fn world(mode: &str, more: &str) -> World {
    World::on(&["--hostile", mode], more)
}

/// Opens a console on the hostile endpoint.
fn console(columns: u16, environment: &[(&'static str, &str)]) -> (World, Terminal) {
    let world = world("session", "shell = \"console\"");
    let terminal = terminal(&world, columns, &["work"], environment);
    terminal.wait_until("the prompt", |text| text.trim_end().ends_with("[work] PS>"));
    (world, terminal)
}

fn terminal(
    world: &World,
    columns: u16,
    arguments: &[&str],
    environment: &[(&'static str, &str)],
) -> Terminal {
    let own = [("LYNCSH_CONFIG_DIR", world.root().to_str().unwrap().to_owned())];
    let more = environment.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Terminal::sized((columns, 200), lyncsh(), arguments, own.into_iter().chain(more))
}

/// Types a line and waits for both ends of its output.
fn shows(terminal: &Terminal, line: &str, tags: &[&str]) {
    let before = terminal.raw().len();
    terminal.line(line);
    terminal.wait_until(line, |_| {
        let raw = terminal.raw();
        let text = String::from_utf8_lossy(&raw[before..]);
        tags.iter().all(|tag| text.contains(&format!("{tag}-begin")) && text.contains(&format!("{tag}-end")))
    });
    terminal.wait_until("the next prompt", |text| text.trim_end().ends_with("[work] PS>"));
}

#[test]
fn command_output_cannot_control_the_terminal() {
    let (_world, mut terminal) = console(200, &[]);
    shows(&terminal, "Show-String", &["string"]);
    shows(&terminal, "$x = Show-String; \"in text $x\"", &["string"]);
    shows(&terminal, "Show-Table", &["property", "cell"]);
    shows(&terminal, "Show-Table | Format-List", &["property", "cell"]);
    shows(&terminal, "Show-Table | ConvertTo-Csv", &["property", "cell"]);
    shows(&terminal, "Show-Table | ConvertTo-Json", &["cell"]);
    shows(&terminal, "Show-Table | Get-Member", &["property"]);
    shows(&terminal, "Show-List", &["item0", "value5"]);
    shows(&terminal, "Show-Streams", &["error", "warning", "verbose", "debug", "errorline"]);
    shows(&terminal, "Show-Host", &["write1", "write2", "line2", "line3"]);
    terminal.wait_for_text("^G split-end");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    assert_harmless(&terminal.raw());
}

#[test]
fn prompts_and_progress_cannot_control_the_terminal() {
    let (_world, mut terminal) = console(200, &[]);
    let asked = |line: &str, tags: &[&str], answer: &str| {
        terminal.line(line);
        for tag in tags {
            terminal.wait_for_text(&format!("{tag}-end"));
        }
        terminal.line(answer);
        terminal.wait_until("the next prompt", |text| text.trim_end().ends_with("[work] PS>"));
    };
    terminal.line("Ask-Choice");
    terminal.wait_for_text("label-end");
    terminal.line("?");
    terminal.wait_for_text("help-end");
    terminal.line("");
    terminal.wait_for_text("answered 0");
    asked("Ask-Fields", &["caption", "message", "field"], "x");
    asked("Ask-Credential", &["caption", "message", "user"], "secret");
    terminal.line("Show-Progress");
    // The name of an activity is cut.
    terminal.wait_for_text("activity-begin^[]52;c;");
    terminal.line("x");
    terminal.wait_for_text("answered x");
    terminal.wait_until("the next prompt", |text| text.trim_end().ends_with("[work] PS>"));
    // The peer's commands have names in lower case.
    terminal.press("Show-\t");
    terminal.wait_for_text("show-streams");
    terminal.press("\u{3}");
    terminal.wait_until("the next prompt", |text| text.trim_end().ends_with("[work] PS>"));
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    assert_harmless(&terminal.raw());
}

#[test]
fn colours_are_kept_and_reset_per_line() {
    let (_world, terminal) = console(200, &[]);
    shows(&terminal, "Show-String", &["string"]);
    terminal.wait_for_text("after the string");
    let raw = String::from_utf8(terminal.raw()).unwrap();
    assert!(raw.contains("\u{1b}[35mstring-end\u{1b}[0m"), "{raw:?}");
}

#[test]
fn no_color_removes_colours() {
    let (_world, terminal) = console(200, &[("NO_COLOR", "1")]);
    shows(&terminal, "Show-String", &["string"]);
    shows(&terminal, "Show-Streams", &["error", "warning"]);
    let raw = String::from_utf8(terminal.raw()).unwrap();
    for colour in ["\u{1b}[3", "\u{1b}[9"] {
        assert!(!raw.contains(colour), "{raw:?}");
    }
}

/// Returns standard output and error of piped lines.
fn piped(world: &World, lines: &str) -> (String, String) {
    let Ran { out, err, .. } = world.program(&["work"]).env("NO_COLOR", "1").stdin(lines).run();
    (out, err)
}

#[test]
fn piped_data_is_unchanged_and_messages_are_clean() {
    let world = world("session", "shell = \"console\"");
    let file = world.root().join("kept.txt");
    let (out, err) =
        piped(&world, &format!("Show-String\nShow-String > '{}'\nShow-Streams\n", file.display()));
    let evil = "string-begin\u{1b}]52;c;aGk=\u{7}\u{1b}]0;owned\u{1b}\\\u{1b}[2J\u{1b}[5n\u{1b}P$qm\u{1b}\\\u{1b}_apc\
                \u{1b}\\\u{1b}c\u{9b}2J\u{9d}0;c1\u{9c}\u{202e}gpj\u{2066}\u{200f}\u{1b}[35mstring-end\n";
    assert!(out.contains(evil), "{out:?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains(evil));
    assert!(err.contains("error-end") && err.contains("warning-end"), "{err:?}");
    assert!(!err.contains('\u{1b}'), "{err:?}");
    assert_harmless(err.as_bytes());
}

#[test]
fn status_cannot_control_the_terminal() {
    let world = world("session", "shell = \"console\"");
    world.attach();
    let (code, out, err) = world.run(&["status"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("owner-end") && out.contains("client-end"), "{out:?}");
    assert!(!out.contains('\u{1b}'), "{out:?}");
    assert_harmless(out.as_bytes());
    for arguments in [["status"].as_slice(), &["status", "--json"]] {
        let mut terminal = terminal(&world, 80, arguments, &[]);
        assert_eq!(terminal.wait_exit(), 0);
        terminal.wait_for_text("owner-end");
        assert_harmless(&terminal.raw());
    }
    // JSON in a pipe is data.
    let (_, out, _) = world.run(&["status", "--json"]);
    assert!(out.contains("\\u001b]52;c;aGk=\\u0007") && out.contains('\u{202e}'), "{out:?}");
}

#[test]
fn connection_errors_cannot_control_the_terminal() {
    for (mode, seen) in
        [("fault", "fault-end"), ("page", "503"), ("text", "400"), ("redirect", "302"), ("bearer", "refused")]
    {
        let world = world(mode, "shell = \"console\"");
        for arguments in [["work"].as_slice(), &["-vv", "work"], &["-vvv", "work"]] {
            let mut terminal = terminal(&world, 100, arguments, &[]);
            assert_ne!(terminal.wait_exit(), 0);
            if seen == "fault-end" {
                terminal.wait_for_text(seen);
            }
            assert_harmless(&terminal.raw());
        }
        for arguments in
            [["work"].as_slice(), &["attach", "work", "--facts"], &["attach", "work", "--socket"]]
        {
            let (_, out, err) = world.run(arguments);
            assert!(!(out.clone() + &err).contains('\u{1b}'), "{out:?}{err:?}");
            assert_harmless((out + &err).as_bytes());
        }
    }
}

#[test]
fn a_dumb_terminal_gets_no_escape_sequence() {
    let (_world, mut terminal) = console(200, &[("TERM", "dumb")]);
    shows(&terminal, "Show-String", &["string"]);
    shows(&terminal, "Show-Table", &["cell"]);
    shows(&terminal, "Show-Streams", &["error", "warning"]);
    terminal.line("Ask-Choice");
    terminal.wait_for_text("label-end");
    terminal.line("y");
    terminal.wait_for_text("answered 0");
    terminal.line("Show-Progress");
    terminal.wait_until("the question", |text| text.contains("Show-Progress"));
    terminal.line("x");
    terminal.wait_for_text("answered x");
    terminal.line("clear");
    terminal.line("\"two");
    terminal.wait_for_text(">> ");
    terminal.line("lines\"");
    terminal.wait_for_text("two\nlines");
    terminal.press("half a line");
    terminal.wait_for_text("half a line");
    terminal.press("\u{3}");
    terminal.wait_until("the next prompt", |text| text.trim_end().ends_with("[work] PS>"));
    terminal.line("'after it'");
    terminal.wait_for_text("\nafter it");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    let raw = String::from_utf8(terminal.raw()).unwrap();
    assert!(!raw.contains('\u{1b}'), "{raw:?}");
}

#[test]
fn typed_text_keeps_the_default_colour() {
    let (_world, terminal) = console(80, &[]);
    terminal.press("Show-String -Nothing 'x' 1");
    terminal.wait_for_text("'x' 1");
    let raw = String::from_utf8(terminal.raw()).unwrap();
    let typed = raw.rsplit_once("PS").unwrap().1;
    for colour in ["\u{1b}[37m", "\u{1b}[97m", "\u{1b}[38;5;15m", "\u{1b}[30m"] {
        assert!(!raw.contains(colour), "{typed:?}");
    }
}

/// Returns the lines that a command displays in a narrow terminal.
fn narrow(world: &World, arguments: &[&str]) -> String {
    let mut terminal = terminal(world, 40, arguments, &[]);
    terminal.wait_exit();
    terminal.text()
}

#[test]
fn no_word_breaks_in_forty_columns() {
    let world = world("session", "shell = \"console\"");
    world.attach();
    world.profile("another-profile", "prefix = \"Long\"");
    let words = |arguments: &[&str]| {
        let (_, out, err) = world.run(arguments);
        out + &err
    };
    for arguments in [
        ["--help"].as_slice(),
        &["-h"],
        &["attach", "--help"],
        &["demo", "--help"],
        &["shortcut", "-h"],
        &["list"],
        &["show", "work"],
        &["statsu"],
        &["attach"],
        &["--nonsense-that-does-not-exist"],
        &["show", "nothing_of_that_name"],
    ] {
        let wide = words(arguments);
        let shown = narrow(&world, arguments);
        // The terminal would break a long line anywhere.
        let known: std::collections::HashSet<&str> = wide.split_whitespace().collect();
        for word in shown.split_whitespace().filter(|word| word.chars().all(|one| one.is_ascii_alphabetic()))
        {
            // A word longer than a line, such as a path, is cut.
            let is_known = known.iter().any(|one| {
                one.trim_matches(|one: char| !one.is_alphanumeric()) == word
                    || (one.len() > 36 && one.contains(word))
            });
            assert!(is_known, "{word:?} is no word of {arguments:?}:\n{shown}\n{wide}");
        }
    }
}
