//! Scripts: run as a whole or not at all, their end and exit code.

use std::path::Path;

use lyncsh::exit::TABLE;
use lyncsh::simulator::Options;

use crate::agent_simulator::{empty, online};
use crate::agent_world::World;
use crate::program::{Program, lyncsh};
use crate::stand_in::Terminal;

/// Pipes lines into the console of a demo.
fn demo(lines: &str) -> (i32, String, String) {
    Program::lyncsh().args(["demo"]).stdin(lines).run().parts()
}

/// Runs `lyncsh work` with arguments in a folder.
fn work(world: &World, folder: &Path, words: &[&str], input: &str) -> (i32, String, String) {
    let run = world.program(&["work", "--shell", "console"]).args(words.iter().copied());
    run.folder(folder).stdin(input).run().parts()
}

const GUARD: [&str; 2] = [
    "$u = Get-CsOnlineUser\nif ($u.Count -gt 1) { \"too many\"; exit 1 }\n$u | Set-CsUser -EnterpriseVoiceEnabled $true\n",
    "$u = Get-CsOnlineUser\nif ($u.Count -gt 1) {\n  \"too many\"\n  exit 1\n}\n$u | Set-CsUser -EnterpriseVoiceEnabled $true\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_partly_refused_script_does_not_run() {
    let (world, server) = online(Options::default(), "").await;
    let ended = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        for script in GUARD {
            let (code, out, err) = work(&world, folder.path(), &[], script);
            assert_eq!((code, out.as_str()), (2, ""), "{err}");
            assert!(err.starts_with("line 2, column 1: 'if' needs PowerShell's script engine"), "{err}");
            assert!(err.contains("Nothing was run.") && err.contains("lyncsh work --shell pwsh"), "{err}");
            std::fs::write(folder.path().join("guard.ps1"), script).unwrap();
            let (code, out, err) = work(&world, folder.path(), &["guard.ps1"], "");
            assert_eq!((code, out.as_str()), (2, ""), "{err}");
            assert!(err.starts_with("guard.ps1: line 2, column 1: 'if'"), "{err}");
        }
        // A refused script does not connect.
        assert_eq!(server.requests(), 0);
        let lines = "Get-CsOnlineUser | % EnterpriseVoiceEnabled";
        assert_eq!(work(&world, folder.path(), &[], lines).1, "False\nFalse\n");
        server
    })
    .await;
    empty(&ended.unwrap()).await;
}

#[test]
fn all_refusals_are_found_before_running() {
    // Script and position of the error.
    for (script, places) in [
        ("while ($true) { }", &["2, column 1"][..]),
        ("for ($i = 0; $i -lt 3; $i++) {\n $i }", &["2, column 1"]),
        ("switch (1) { 1 { 'x' } }", &["2, column 1"]),
        ("function f { 'x' }\nf", &["2, column 1"]),
        (
            "try { Get-CsTenant } catch { 'x' }\nfinally { 'y' }\n'a'.ToUpper()",
            &["2, column 1", "4, column 12"],
        ),
        ("class A { }", &["2, column 1"]),
        ("param($x)", &["2, column 1"]),
        ("  [Math]::Round(1.5)", &["2, column 3"]),
        ("$x = [int]'5'", &["2, column 6"]),
        ("& { 'x' }", &["2, column 1"]),
        (". $x", &["2, column 1"]),
        ("$x.Name = 'a'", &["2, column 9"]),
        ("$x[0] = 'a'", &["2, column 7"]),
        ("$x += 1", &["2, column 4"]),
        ("$x++", &["2, column 3"]),
        ("$a, $b = 1, 2", &["2, column 8"]),
        ("Get-CsOnlineUser | % { if ($_) { 'x' } }", &["2, column 24"]),
        ("Get-CsOnlineUser | % {\n  $_.Name\n  while (1) { }\n}", &["4, column 3"]),
        (
            "foreach ($u in 1, 2) {\n  $u\n  if ($u) { 'x' }\n  do { 'x' } until (1)\n}",
            &["4, column 3", "5, column 3"],
        ),
        ("\"a $(if (1) { 'x' }) b\"", &["2, column 6"]),
        ("@{ a = 1; b = $(switch (1) { 1 { 2 } }) }", &["2, column 17"]),
        ("1 | select @{ n = 'x'; e = { [int]$_ } }", &["2, column 30"]),
        ("1 | where { Get-CsTenant }", &["2, column 13"]),
        ("1 | where { $_.Trim() -eq 'a' }", &["2, column 20"]),
        ("1 | sort { $_.Name; $x = 1 }\n[int]5", &["2, column 21", "3, column 1"]),
        ("Get-CsOnlineUser | select -Frist 1", &["2, column 27"]),
        ("1, 2 | select -First abc", &["2, column 8"]),
        ("1 | measure -Sum x y", &["2, column 20"]),
        ("1 | Out-File x -Encoding nonsense", &["2, column 5"]),
        ("1 | ft -PipelineVariable p", &["2, column 8"]),
        ("Get-CsTenant -pv p", &["2, column 14"]),
        ("$WhatIfPreference = $true", &["2, column 1"]),
        ("$ConfirmPreference", &["2, column 1"]),
        ("\"$LASTEXITCODE\"", &["2, column 2"]),
        ("$Matches[1]", &["2, column 1"]),
        ("$ErrorActionPreference = 'Never'", &["2, column 1"]),
        ("Get-CsTenant --% x", &["2, column 14"]),
        ("Get-CsTenant && 'x'", &["2, column 14"]),
        ("Get-CsTenant &", &["2, column 14"]),
        ("foreach ($u in 1) { break }", &["2, column 21"]),
        ("#Requires -Modules Az", &["2, column 1"]),
        ("Get-CsTenant @splat", &["2, column 14"]),
        ("1 | Import-Csv x", &["2, column 5"]),
        ("1 | % { exit 3 } | sort", &[]),
        ("(exit 3)", &["2, column 2"]),
        ("exit a b", &["2, column 1"]),
        ("<# never closed", &["2, column 1"]),
        ("\"never closed", &["2, column 1"]),
        ("@'\nnever closed\n", &["2, column 1"]),
        ("'a' )", &["2, column 5"]),
        ("./none.ps1", &["cannot read ./none.ps1"]),
        ("./none.ps1 | sort", &["2, column 1"]),
        ("Get-CsTenant | Set-CsUser -ErrorVariable", &["2, column 27"]),
    ] {
        let (code, out, err) = demo(&format!("'ran'\n{script}\n'after'\n"));
        if places.is_empty() {
            assert_ne!(code, 2, "{script}\n{err}");
            continue;
        }
        assert_eq!((code, out.as_str()), (2, ""), "{script}\n{err}");
        let listed =
            err.lines().filter(|line| line.starts_with("line ") || line.starts_with("cannot")).count();
        assert_eq!(listed, places.len(), "{script}\n{err}");
        for place in places {
            assert!(err.contains(place), "{script}\n{err}");
        }
    }
}

#[test]
fn comments_here_strings_and_continued_lines_are_read() {
    let script = concat!(
        "# a comment; if (1) { }\n",
        "<# more\n   of it: while #>\n",
        "#Requires -Version 5.1\n",
        "'a' <# in between #>, 'b' # and behind\n",
        "'c' `\n  | % { \"$_!\" }\n",
        "3, 1, 2 |\n  sort |\n  select -First 1\n",
        "3, 1, 2\n  # a comment between\n  | sort -Descending\n  | select -First 1\n",
        "@'\nit's \"one\"\nif (1) { }\n'@\n",
        "$n = 2; @\"\nsum: $($n + 1)\n\"@; 'same line'\n",
        "'x', 'y' | % { # it's here\n  @'\n} not the end\n'@\n  \"$_}\"\n}\n",
        "$t = @{\n  a = 1 # one\n  b = 'two'\n}\n$t.b\n",
        "$long =\n  'below'\n$long\n",
        "& 'Get-CsTenant' | % DisplayName\n",
    );
    let (code, out, err) = demo(script);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let wanted = concat!(
        "a\nb\nc!\n1\n3\nit's \"one\"\nif (1) { }\nsum: 3\nsame line\n",
        "} not the end\nx}\n} not the end\ny}\ntwo\nbelow\nLitware\n"
    );
    assert_eq!(out, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_file_takes_arguments_and_calls_others() {
    let (world, server) = online(Options::default(), "").await;
    let ended = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let run = |words: &[&str]| work(&world, folder.path(), words, "");
        write("args.ps1", "$args.Count\n$args[0]\n\"$args\"\n$PSScriptRoot.Length -gt 0\nexit $args[0]\n");
        let (code, out, err) = run(&["args.ps1", "7", "-User", "a b", "--"]);
        assert_eq!((code, out.as_str(), err.as_str()), (7, "4\n7\n7 -User a b --\nTrue\n", ""));

        write("lib.ps1", "$inner = \"from lib $args\"\nGet-CsNothing\nexit 3\n");
        write("main.ps1", "$outer = 1\n./lib.ps1 x -y $outer\n\"[$inner] $?\"\n. ./lib.ps1 z\n\"[$inner] $($args.Count)\"\n");
        let (code, out, err) = run(&["main.ps1", "one"]);
        assert_eq!((code, out.as_str()), (1, "[] False\n[from lib z] 1\n"), "{err}");
        write("lib.ps1", "'ran'\nif (1) { }\n");
        let (code, out, err) = run(&["main.ps1"]);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.starts_with("./lib.ps1: line 2, column 1: 'if'"), "{err}");
        let (code, _, err) = run(&["none.ps1"]);
        assert!(code == 2 && err.contains("cannot read none.ps1"), "{err}");
        write("wide.ps1", "\u{feff}'\u{fc}'\r\n");
        assert_eq!(run(&["wide.ps1"]), (0, "\u{fc}\n".to_owned(), String::new()));
        server
    })
    .await;
    empty(&ended.unwrap()).await;
}

#[test]
fn script_files_run_at_the_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("good.ps1"), "$set = 'set here'\n\"hello $($args[0])\"\n").unwrap();
    std::fs::write(path("bad.ps1"), "'never'\nif (1) { }\n").unwrap();
    let mut terminal = Terminal::sized((160, 40), lyncsh(), &["demo"], []);
    let run = |line: &str, answer: &str| {
        terminal.line(line);
        terminal.wait_for_text(answer);
        terminal.ends_with("[demo] PS>");
    };
    terminal.ends_with("[demo] PS>");
    run(&format!("{} you", path("good.ps1")), "\nhello you");
    run("\"[$set] nothing\"", "\n[] nothing");
    run(&format!(". {} again", path("good.ps1")), "\nhello again");
    run("\"[$set] something\"", "\n[set here] something");
    run(&path("bad.ps1"), "bad.ps1: line 2, column 1: 'if' needs");
    assert!(!terminal.text().contains("\nnever"), "{}", terminal.text());
    run("'not ' + 'run'; while (1) { }", "line 1, column 17: 'while' needs PowerShell's script engine");
    assert!(!terminal.text().contains("\nnot run"), "{}", terminal.text());
    terminal.wait_for_text("lyncsh demo --shell pwsh");
    run("Get-CsNothing -ErrorAction Stop; 'be' + 'hind'", "is not recognized");
    assert!(!terminal.text().contains("\nbehind"), "{}", terminal.text());
    run("$?", "\nFalse");
    run("\"$($Error.Count) kept\"", "\n1 kept");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
}

#[test]
fn exit_codes_reflect_any_failed_line() {
    for (lines, code) in [
        ("'a'", 0),
        ("Get-CsNothing\n'a'", 1),
        ("'a'\nGet-CsNothing", 1),
        ("Get-CsOnlineUser nobody\nexit", 1),
        ("'a'\nexit", 0),
        ("Get-CsNothing\nexit 0", 0),
        ("exit 7\n'a'", 7),
        ("exit 300", 44),
        ("$n = 4\nexit $n", 4),
        ("exit (1 + 1)", 2),
        ("1 / 0\n'a'", 1),
        ("Get-CsOnlineUser nobody -ErrorAction SilentlyContinue", 0),
        ("Get-CsOnlineUser nobody 2>$null", 1),
        ("1 | foreach { Get-CsNothing }\n'a'", 1),
        ("$ErrorActionPreference = 'SilentlyContinue'\nGet-CsNothing\n1/0", 0),
    ] {
        assert_eq!(demo(&format!("{lines}\n")).0, code, "{lines}");
    }
}

#[test]
fn every_command_follows_the_table_of_exit_codes() {
    let world = World::without_endpoint();
    let run = |words: &[&str]| world.program(&[]).args(words.iter().copied()).run().parts();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let profile = "kind = \"wsman\"\nuri = \"http://127.0.0.1:1/wsman\"\nuser = \"u\"\nauthentication = \"basic\"\n\
                   credential = { command = \"echo x\" }\n";
    std::fs::write(world.folders.profile("away"), profile).unwrap();
    std::fs::write(world.folders.profile("bad"), "kind = \"nonsense\"\n").unwrap();
    for (words, code) in [
        (&["list"][..], 0),
        (&["--help"], 0),
        (&["away", "--help"], 0),
        (&["--no-such-option"], 2),
        (&["away", "--no-such-option"], 2),
        (&["nobody"], 2),
        (&["lst"], 2),
        (&["bad"], 2),
        (&["show", "nobody"], 2),
        (&["away", "--shell", "no-such-shell"], 2),
        (&["away", "--shell", "console", "--", "-NoProfile"], 2),
        (&["away", "--shell", "console", "none.ps1"], 2),
        (&["away", "--shell", "console"], 3),
        (&["attach", "away", "--socket"], 3),
    ] {
        let (got, out, err) = run(words);
        assert_eq!(got, code, "{words:?}\n{out}\n{err}");
    }
}

#[test]
fn the_documented_exit_codes_match_the_code() {
    let text = include_str!("../../docs/console.md");
    let rows: Vec<(u8, &str)> = text
        .lines()
        .filter_map(|line| {
            let (code, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
            Some((code.parse().ok()?, meaning))
        })
        .collect();
    let known: Vec<(u8, &str)> = TABLE.iter().map(|(exit, meaning)| (exit.code(), *meaning)).collect();
    assert_eq!(rows, known);
}

#[test]
fn error_action_applies_remotely_and_locally() {
    for (lines, code, out) in [
        ("$ErrorActionPreference = 'Stop'\nGet-CsOnlineUser nobody\n'after'", 1, ""),
        ("$ErrorActionPreference = 'Stop'\n'a' | sort -Top x\n", 2, ""),
        ("$ErrorActionPreference = 'Stop'\n1 / 0\n'after'", 1, ""),
        ("Get-CsOnlineUser nobody -ErrorAction Stop\n'after'", 1, ""),
        ("Get-CsOnlineUser nobody -ea:Stop; 'after'", 1, ""),
        ("1, 0 | % { 1 / $_ } -ErrorAction Stop\n'after'", 1, "1\n"),
        ("1, 0 | % { 1 / $_ } -ErrorAction SilentlyContinue\n\"$?\"", 0, "1\nFalse\n"),
        (
            "'kenmyer', 'nobody', 'pilarackerman' | % { (Get-CsOnlineUser $_ -ErrorAction Stop).City }\n'after'",
            1,
            "Redmond\n",
        ),
        ("Get-CsOnlineUser nobody -ErrorAction SilentlyContinue\n'after'", 0, "after\n"),
        ("$ErrorActionPreference = 'Ignore'\nGet-CsOnlineUser nobody\n$Error.Count", 0, "0\n"),
        (
            "$ErrorActionPreference = 'SilentlyContinue'\nGet-CsOnlineUser nobody\n\"$? $($Error.Count)\"",
            0,
            "False 1\n",
        ),
        (
            "$ErrorActionPreference = 'Stop'\n$ErrorActionPreference = 'Continue'\nGet-CsNothing\n'after'",
            1,
            "after\n",
        ),
    ] {
        let (got, printed, err) = demo(&format!("{lines}\n"));
        assert_eq!((got, printed.as_str()), (code, out), "{lines}\n{err}");
    }
}

#[test]
fn out_variables_collect_command_output() {
    let (code, out, err) = demo(concat!(
        "Get-CsOnlineUser -OutVariable users | Out-Null\n",
        "\"$($users.Count) $($users[0].DisplayName)\"\n",
        "Get-CsOnlineUser kenmyer -ov +users | measure | % Count\n",
        "$users.Count\n",
        "3, 1, 2 | sort -OutVariable sorted | select -First 1 -OutVariable first\n",
        "\"$sorted / $first / $($first.Count)\"\n",
        "Get-CsOnlineUser nobody -ErrorVariable e 2>$null\n",
        "\"$($e.Count) $($e[0].Exception.Message)\"\n",
        "'nobody', 'kenmyer' | Get-CsOnlineUser -EV +e -ErrorAction SilentlyContinue | % City\n",
        "\"$? $($e.Count)\"\n",
        "1, 0 | % { 1 / $_ } -ErrorVariable d -ErrorAction SilentlyContinue\n",
        "\"$d\"\n",
        "@{ a = @{ b = @{ c = @{ d = 1 } } } } | ConvertTo-Json -Compress -WarningVariable w -WarningAction SilentlyContinue\n",
        "\"$($w.Count) $w\"\n",
        "Get-CsOnlineUser kenmyer -OutVariable one | Set-CsUser -EnterpriseVoiceEnabled $true\n",
        "$one.DisplayName\n",
        "Get-CsOnlineUser nobody\n",
        "$?\n",
        "$?\n",
        "$Error[0].FullyQualifiedErrorId.Length -gt 0\n",
        "\"$($Error[0])\" -eq $Error[0].Exception.Message\n",
        "\"[$nothing] $($nothing.Name) $($nothing.Count)\"\n",
        "$nothing -eq $null\n",
        "$PSVersionTable.PSVersion.Major -gt 0\n",
    ));
    assert_eq!(code, 1, "{out}\n{err}");
    let wanted: Vec<&str> = vec!["2 Ken Myer", "1", "3", "1", "1 2 3 / 1 / 1"];
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..wanted.len()], wanted, "{out}\n{err}");
    let rest = &lines[wanted.len()..];
    assert!(rest[0].starts_with("1 ") && rest[0].contains("nobody"), "{out}\n{err}");
    assert_eq!(rest[1..4], ["Redmond", "False 2", "1"], "{out}\n{err}");
    assert_eq!(rest[4], "Attempted to divide by zero.", "{out}");
    assert!(rest[6].starts_with("1 Resulting JSON is truncated"), "{out}");
    assert_eq!(
        rest[7..],
        ["Ken Myer", "False", "True", "True", "True", "[]  0", "True", "True"],
        "{out}\n{err}"
    );
}

#[test]
fn a_pipeline_with_an_unknown_command_runs_none_of_its_commands() {
    for line in [
        "Get-CsOnlineUser | Get-CsNothing | measure",
        "Get-CsOnlineUser kenmyer | Set-CsUser -EnterpriseVoiceEnabled $true | select x | Get-CsNothing",
        "Get-CsOnlineUser | % { Set-CsUser $_.Identity -EnterpriseVoiceEnabled $true; Get-CsNothing }",
        "Get-CsNothing (Set-CsUser kenmyer -EnterpriseVoiceEnabled $true)",
        "Get-CsNothing | measure",
        "Set-CsUser kenmyer -EnterpriseVoiceEnabled (Get-CsNothing)",
    ] {
        let (code, out, err) = demo(&format!("{line}\nGet-CsOnlineUser | % EnterpriseVoiceEnabled\n"));
        assert_eq!((code, out.as_str()), (1, "False\nFalse\n"), "{line}\n{err}");
        assert!(err.contains("The term 'Get-CsNothing' is not recognized"), "{line}\n{err}");
    }
    // After a non-terminating error, the rest runs.
    let (_, out, _) = demo("'nobody', 'kenmyer' | Get-CsOnlineUser | measure | % Count\n");
    assert_eq!(out, "1\n");
}

#[test]
fn an_unavailable_powershell_command_refuses_the_whole_script() {
    let script = "'begun'\nSet-CsUser kenmyer -EnterpriseVoiceEnabled $true\nif-not\n1,2 | % { Start-Job 1 }\ntest-path x\n";
    let (code, out, err) = demo(script);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    for place in
        ["line 4, column 11: Neither", "line 5, column 1: Neither", "Nothing was run.", "--shell pwsh"]
    {
        assert!(err.contains(place), "{place}: {err}");
    }
    assert!(!err.contains("if-not"), "{err}");
    // An unknown command is an error of its line, as in PowerShell.
    let (code, out, err) = demo("'begun'\nGet-CsNothing\n'after'\n");
    assert_eq!((code, out.as_str()), (1, "begun\nafter\n"), "{err}");
    // Commands of the endpoint run there.
    let (code, out, err) = demo("Get-Command Get-CsTenant | select Name\n'after'\n");
    assert!(code == 0 && out.contains("after"), "{out}{err}");
    let terminal = Terminal::sized((100, 30), lyncsh(), &["demo"], []);
    terminal.wait_for_text("[demo] PS>");
    terminal.line("'be' + 'gun'; Start-Job 1");
    terminal.wait_for_text("Neither the console nor the endpoint has Start-Job.");
    assert!(!terminal.text().contains("begun"), "{}", terminal.text());
}

#[test]
fn a_failing_object_does_not_stop_the_others() {
    let (code, out, err) = demo("1,0,2 | % { 6 / $_ }\n1,0,2 | ? { 6 / $_ -gt 1 }\n'after'\n");
    assert_eq!((code, out.as_str()), (1, "6\n3\n1\n2\nafter\n"), "{err}");
    assert_eq!(err.matches("divide by zero").count(), 2, "{err}");
    let (code, out, err) = demo("1,0,2 | % { 6 / $_ } -ErrorAction Stop\n'after'\n");
    assert_eq!((code, out.as_str()), (1, "6\n"), "{err}");
    let (code, out, err) =
        demo("1,0,2 | % { 6 / $_ } -ErrorAction SilentlyContinue -ErrorVariable e\n$e.Count\n");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "6\n3\n1\n", ""));
}
