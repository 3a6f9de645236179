//! Comparison of everyday lines in the console and in a real PowerShell, both attached to the same agent:
//! output and outcome. Intended differences have a reason beside their line; unexplained differences and
//! obsolete reasons fail.

mod lines;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lyncsh::simulator::{self, PASSWORD, Server, USER};

use crate::front;
use crate::program::{Program, Ran};
use lines::{Case, LOCAL, REMOTE, SIMULATED};

/// Width in both shells: the console leaves the last of its 120 columns free.
const WIDTH: usize = 119;

/// Outcome of a line.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    output: Vec<String>,
    /// Errors and warnings, on standard error.
    messages: Vec<String>,
    failed: bool,
}

/// A user with a profile `work` on an endpoint, whose agent keeps running between the lines.
struct TestUser {
    folder: tempfile::TempDir,
    /// Folder that the shells run in; `None`: their own.
    work: Option<PathBuf>,
}

impl TestUser {
    fn new(profile: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("profiles")).unwrap();
        let text = format!(
            "{profile}user = \"{USER}\"\ncredential = {{ command = \"echo '{PASSWORD}'\" }}\n\
             shell = \"console\"\nkeep = \"5m\"\n"
        );
        std::fs::write(folder.path().join("profiles/work.toml"), text).unwrap();
        Self { folder, work: None }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn work_folder(&self) -> &Path {
        self.work.as_deref().unwrap_or(self.path())
    }

    fn lyncsh(&self, arguments: &[&str]) -> Program {
        let program = Program::lyncsh().args(arguments).folder(self.work_folder());
        program.env("LYNCSH_CONFIG_DIR", self.path()).env("NO_COLOR", "1")
    }

    /// Runs a line in the console as a script.
    fn in_console(&self, line: &str) -> Outcome {
        let Ran { code, out, err } = self.lyncsh(&["work"]).stdin(format!("{line}\n")).run();
        outcome(&out, err.lines(), code != Some(0))
    }

    /// Runs all lines in one attached PowerShell.
    fn in_powershell(&self, pwsh: &Path, lines: &[Case]) -> Vec<Outcome> {
        let attach = self.lyncsh(&["attach", "work"]).run().success_output();
        let script = self.path().join("everyday.ps1");
        std::fs::write(&script, format!("\u{feff}{}", powershell_script(&attach, lines))).unwrap();
        let arguments = ["-NoLogo", "-NoProfile", "-NonInteractive", "-File"];
        let shell = Program::new(pwsh).args(arguments).args([&script]).folder(self.work_folder());
        let shell = shell.env("LYNCSH_CONFIG_DIR", self.path()).env("NO_COLOR", "1");
        let Ran { out, err, .. } =
            shell.env("LC_ALL", "C.UTF-8").env("POWERSHELL_TELEMETRY_OPTOUT", "1").run();
        let parts: Vec<&str> = out.split(BEGIN).skip(1).collect();
        assert_eq!(parts.len(), lines.len(), "{out}\n{err}");
        parts.into_iter().map(read_part).collect()
    }
}

impl Drop for TestUser {
    fn drop(&mut self) {
        self.lyncsh(&["stop", "--all"]).run();
    }
}

const BEGIN: &str = "<<<begin>>>";
const ENDED: &str = "<<<ended>>>";

/// Returns a script that runs each line in a separate scope and prints its output, errors and status.
fn powershell_script(attach: &str, lines: &[Case]) -> String {
    let mut script = format!(
        "{attach}\n\
         [Console]::OutputEncoding = [Text.Encoding]::UTF8\n\
         function Test-Line([string] $Line) {{\n\
             '{BEGIN}'\n\
             $errors = [Collections.ArrayList]::new()\n\
             $global:Ok = $true\n\
             try {{\n\
                 & ([scriptblock]::Create(\"$Line`n`$global:Ok = `$?\")) 2>&1 | ForEach-Object {{\n\
                     if ($_ -is [Management.Automation.ErrorRecord]) {{ [void]$errors.Add($_) }} else {{ $_ }}\n\
                 }} | Out-String -Stream -Width {WIDTH}\n\
             }} catch {{ [void]$errors.Add($_) }}\n\
             '{ENDED}'\n\
             $Ok\n\
             $errors | ForEach-Object {{ if ($_.ErrorDetails) {{ $_.ErrorDetails.Message }} else {{ $_.Exception.Message }} }}\n\
         }}\n"
    );
    for case in lines {
        let _ = writeln!(script, "Test-Line '{}'", case.line.replace('\'', "''"));
    }
    script
}

fn read_part(part: &str) -> Outcome {
    let (printed, rest) = part.split_once(ENDED).unwrap_or((part, ""));
    let mut rest = rest.lines().filter(|line| !line.trim().is_empty());
    let is_well = rest.next() == Some("True");
    let errors: Vec<&str> = rest.collect();
    let failed = !is_well || !errors.is_empty();
    outcome(printed, errors.into_iter(), failed)
}

/// Returns an outcome without blank lines around the output and trailing white space.
fn outcome<'a>(printed: &str, errors: impl Iterator<Item = &'a str>, failed: bool) -> Outcome {
    let is_message =
        |line: &str| ["WARNING: ", "VERBOSE: ", "DEBUG: "].iter().any(|word| line.starts_with(word));
    // A line with the property that an imported command adds to its objects (`$_.RunspaceId`).
    let own = |line: &&str| !line.starts_with("RunspaceId ");
    let trimmed: Vec<String> = printed.lines().filter(own).map(|line| line.trim_end().to_owned()).collect();
    let (messages, output): (Vec<_>, Vec<_>) = trimmed.into_iter().partition(|line| is_message(line));
    let blank = |line: &&String| line.is_empty();
    let from = output.iter().take_while(blank).count();
    let to = output.len() - output[from..].iter().rev().take_while(blank).count();
    let output = output[from..to].to_vec();
    let messages = messages.into_iter().chain(errors.map(|line| line.trim_end().to_owned())).collect();
    Outcome { output, messages, failed }
}

/// Compares messages; the console puts the command's name before an error.
fn same_messages(console: &[String], powershell: &[String]) -> bool {
    console.len() == powershell.len()
        && console.iter().zip(powershell).all(|(here, there)| here.ends_with(there.as_str()))
}

fn same(console: &Outcome, powershell: &Outcome) -> bool {
    console.output == powershell.output
        && same_messages(&console.messages, &powershell.messages)
        && console.failed == powershell.failed
}

fn shown(outcome: &Outcome) -> String {
    let mut text = String::new();
    for line in &outcome.output {
        let _ = writeln!(text, "    |{line}");
    }
    for line in &outcome.messages {
        let _ = writeln!(text, "    !{line}");
    }
    let _ = writeln!(text, "    {}", if outcome.failed { "failed" } else { "succeeded" });
    text
}

/// Compares all lines, lists the differences, and fails for unexplained ones.
fn compare(user: &TestUser, pwsh: &Path, lines: &[Case]) {
    let powershell = user.in_powershell(pwsh, lines);
    let (mut wrong, mut explained) = (String::new(), 0);
    for (case, powershell) in lines.iter().zip(&powershell) {
        let console = user.in_console(case.line);
        let difference = format!("  console\n{}  PowerShell\n{}", shown(&console), shown(powershell));
        match (same(&console, powershell), case.reason) {
            (true, None) => {}
            (false, Some(reason)) => {
                explained += 1;
                println!("{}\n  differs: {reason}\n{difference}", case.line);
            }
            (false, None) => {
                let _ = writeln!(wrong, "{}\n{difference}", case.line);
            }
            (true, Some(reason)) => {
                let _ = writeln!(wrong, "{}\n  no longer differs, explained by: {reason}", case.line);
            }
        }
    }
    println!("{} lines, {explained} of them with an explained difference", lines.len());
    assert!(wrong.is_empty(), "unexplained differences:\n{wrong}");
}

#[test]
fn lines_match_powershell_on_an_administration_endpoint() {
    let Some(pwsh) = front::powershell() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(simulator::Options::default())).unwrap();
    let user = TestUser::new(&format!("kind = \"lync-online\"\ndiscovery = \"{}\"\n", server.discovery));
    compare(&user, &pwsh, SIMULATED);
}

#[test]
fn local_cmdlets_match_powershell() {
    let Some(pwsh) = front::powershell() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(simulator::Options::default())).unwrap();
    let files = tempfile::tempdir().unwrap();
    for (name, text) in [("a.txt", "hello\n"), ("b.csv", "one\ntwo\nthree\n"), ("sub/in.txt", "in\n")] {
        let file = files.path().join("work").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let mut user = TestUser::new(&format!("kind = \"lync-online\"\ndiscovery = \"{}\"\n", server.discovery));
    user.work = Some(std::fs::canonicalize(files.path().join("work")).unwrap());
    compare(&user, &pwsh, LOCAL);
}

#[test]
fn lines_match_powershell_on_a_real_endpoint() {
    let Some(pwsh) = front::powershell() else { return };
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("everyday.pssc");
    std::fs::write(&configuration, include_str!("everyday/everyday.pssc")).unwrap();
    let (_runtime, front) = front::blocking(front::Options::configured(&pwsh, &configuration));
    let user = TestUser::new(&format!(
        "kind = \"wsman\"\nauthentication = \"basic\"\nuri = \"{}\"\nprefix = \"R\"\n",
        front.uri
    ));
    compare(&user, &pwsh, REMOTE);
}

#[test]
fn at_least_80_lines_are_compared() {
    assert!(SIMULATED.len() + REMOTE.len() >= 80);
}
