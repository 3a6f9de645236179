//! The console's own cmdlets, its help, completion and transcripts, as users type and read them.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use lyncsh::simulator::{MadeUpCommand, Options, Server};

use crate::agent_simulator::{empty, online};
use crate::agent_world::PATIENCE;
use crate::program::{Program, found, lyncsh, wait};
use crate::stand_in::Terminal;

fn demo(lines: &str) -> (i32, String, String) {
    Program::lyncsh().args(["demo"]).stdin(lines).run().parts()
}

#[test]
fn local_cmdlets_run_here_and_qualified_names_at_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap().display().to_string();
    let file = folder.path().join("users.json");
    std::fs::write(&file, "[{\"Upn\":\"kenmyer\"},{\"Upn\":\"nobody\"}]").unwrap();
    let (code, out, err) = demo(&format!(
        "cd '{root}'\n\"$PWD\"\n$u = Get-Content users.json -Raw | ConvertFrom-Json\n\
         $u | % {{ Get-CsOnlineUser $_.Upn -ErrorAction SilentlyContinue }} | % DisplayName\n\
         Write-Host 'to the host' -ForegroundColor Red\nls | % {{ $_.Name }} | Tee-Object names.txt | measure | % Count\n\
         cat names.txt\n"
    ));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, format!("{root}\nKen Myer\nto the host\n1\nusers.json\n"));
    // Standard input is the script, so the prompt cannot be answered.
    let (code, out, err) = demo("$a = Read-Host name\n'after'\n");
    assert_eq!((code, out.as_str()), (1, "after\n"));
    assert!(err.contains("Read-Host: cannot prompt for input: no terminal."), "{err}");
    let (_, _, err) = demo("Microsoft.PowerShell.Management\\Get-ChildItem\n");
    assert!(err.contains("The term 'Microsoft.PowerShell.Management\\Get-ChildItem' is not"), "{err}");
    for line in ["Get-ChildItem | Set-CsUser", "ls | where Length -gt 1 | Set-CsUser", "pwd | Set-CsUser"] {
        let (code, out, err) = demo(&format!("'ran'\n{line}\n"));
        assert_eq!((code, out.as_str()), (2, ""), "{line}");
        assert!(err.contains("into 'Set-CsUser': its items are on this machine"), "{err}");
    }
    // Errors of the console's cmdlets, and of commands before one, go where they are redirected.
    let (code, out, err) = demo(&format!(
        "cd nope 2>$null\nGet-Content nope 2>$null\nGet-History 99 2>$null\n\
         cd nope 2> '{root}/own'\n\"file: $(Get-Content '{root}/own')\"\n\
         Get-Content nope 2>&1 | % {{ \"piped: $_\" }}\n\
         Get-CsOnlineUser nobody 2> '{root}/remote' | Write-Host\n\
         (Get-Content '{root}/remote' -Raw) -like '*nobody*'\nGet-CsOnlineUser nobody 2>&1 | Write-Host\n\
         'x', 'y' | Write-Host -InformationVariable said\nWrite-Host z -iv +said\n\"$($said.Count): $said\"\n"
    ));
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("file: Set-Location: Cannot find path '"), "{out}");
    assert!(lines[1].starts_with("piped: Get-Content: Cannot find path '"), "{out}");
    assert!(lines[2] == "True" && lines[3].contains("nobody"), "{out}");
    assert!(out.ends_with("\nx\ny\nz\n3: x y z\n"), "{out}");
    // As in PowerShell, an error that ends its pipeline is shown.
    let (_, _, err) = demo("Stop-Transcript 2>$null\n'{' | ConvertFrom-Json 2>$null\n");
    assert!(err.contains("not currently transcribing") && err.contains("ConvertFrom-Json:"), "{err}");
    let (code, _, err) = demo("ls / | % { Get-CsOnlineUser kenmyer } | Out-Null\n");
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = demo("Get-CsTenat\nGet-Chilitem\nGet-CsNothing\n");
    assert_eq!(code, 1);
    assert_eq!(err.matches("Did you mean").count(), 2, "{err}");
    assert!(
        err.contains("Did you mean Get-CsTenant?") && err.contains("Did you mean Get-ChildItem?"),
        "{err}"
    );
    let (_, _, err) = demo("1, 2 | selct -First 1\n");
    assert!(err.contains("Did you mean select (Select-Object)?"), "{err}");
    let (code, out, err) = demo(&format!("Set-Location '{root}'\n./x.ps1\n"));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("line 2, column 1: Cannot find a script by a relative path after Set-Location"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qualified_name_runs_the_endpoints_command() {
    let there = MadeUpCommand {
        name: "Get-ChildItem".to_owned(),
        module: "Microsoft.PowerShell.Management",
        answer: "at the endpoint".to_owned(),
        ..MadeUpCommand::default()
    };
    let options = Options { fixtures: true, commands: vec![there], ..Options::default() };
    let (world, server) = online(options, "").await;
    std::fs::write(world.root().join("here.txt"), "").unwrap();
    let lines = "Microsoft.PowerShell.Management\\Get-ChildItem | % { $_ }\n\
                 Get-ChildItem here.txt | % Name\nCsAdmin\\Get-CsTenant | % DisplayName\n";
    for arguments in [&["work", "--shell", "console"][..], &["exec", "work"]] {
        let program = world.program(arguments).folder(world.root()).stdin(lines);
        let ran = tokio::task::spawn_blocking(move || program.run()).await.unwrap();
        assert_eq!(ran.success_output(), "at the endpoint\nhere.txt\nLitware\n", "{arguments:?}");
    }
    empty(&server).await;
}

#[test]
fn the_folder_keeps_its_links_and_a_date_gets_the_offset_of_its_month() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    std::fs::create_dir_all(root.join("far/real/inner")).unwrap();
    std::fs::write(root.join("near.txt"), "near\n").unwrap();
    std::os::unix::fs::symlink(root.join("far/real"), root.join("link")).unwrap();
    let root = root.display();
    let lines = format!(
        "cd '{root}/link'\n\"$PWD\"\n(Get-Location).Path\ncat ../near.txt\n'x' > ../made.txt\n\
         (ls ..).Name -join ' '\ncd inner\ncd ..\n\"$PWD\"\ncd ..\n\"$PWD\"\ncd -\n\"$PWD\"\n\
         Get-Date 2026-01-15T10:00:00Z -Month 7 -Format o\n\
         Get-Date 2026-01-15T10:00:00Z -Month 7 -AsUTC -Format o\n"
    );
    let ran = Program::lyncsh().args(["demo"]).env("TZ", "Europe/Berlin").stdin(lines).run();
    let wanted = format!(
        "{root}/link\n{root}/link\nnear\nfar link made.txt near.txt\n{root}/link\n{root}\n{root}/link\n\
         2026-07-15T11:00:00.0000000+02:00\n2026-07-15T09:00:00.0000000Z\n"
    );
    assert_eq!(ran.success_output(), wanted);
}

#[test]
fn help_and_get_command_name_the_consoles_cmdlets() {
    let (code, out, err) = demo("?\n");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("ConvertFrom-Json") && out.contains("need PowerShell"), "{out}");
    let (_, out, _) = demo("help ls\n");
    assert!(out.contains("Get-ChildItem [[-Path] <value>]") && out.contains("gci, ls, dir"), "{out}");
    let (_, out, _) = demo("Get-Command Get-Date, Get-CsTenant | % { \"$($_.Name) $($_.Source)\" }\n");
    assert!(out.starts_with("Get-Date lyncsh\nGet-CsTenant "), "{out}");
    let (_, out, _) = demo("gcm | ? Name -in Get-CsTenant, Write-Host | % Name\ngcm *-ChildItem | % Name\n");
    assert_eq!(out, "Write-Host\nGet-CsTenant\nGet-ChildItem\n");
    let (_, out, _) = demo("help Get-CsTenant\n");
    assert!(out.contains("NAME") && out.contains("Get-CsTenant"), "{out}");
}

#[test]
fn a_terminal_completes_asks_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap().display().to_string();
    std::fs::write(folder.path().join("with space.txt"), "read\n").unwrap();
    Program::new("mkfifo").args([folder.path().join("pipe")]).run().success_output();
    let terminal = Terminal::sized((150, 50), lyncsh(), &["demo"], []);
    let run = |line: &str, wanted: &str| {
        terminal.line(line);
        terminal.wait_for_text(wanted);
        terminal.ends_with("[demo] PS>");
    };
    terminal.ends_with("[demo] PS>");
    run(&format!("cd '{root}'; 'moved ' + 'there'"), "moved there");
    // Tab completes, Enter runs.
    let completed = |keys: &str, line: &str| {
        terminal.press(keys);
        terminal.press("\t");
        terminal.ends_with(line);
        terminal.press("\r");
    };
    completed("cat wi", "PS> cat 'with space.txt'");
    terminal.wait_for_text("\nread\n");
    run("$tenant = Get-CsTenant; 'got ' + 'it'", "got it");
    completed("$tena", "PS> $tenant");
    terminal.wait_for_text("DisplayName                : Litware");
    completed("'<' + $tenant.DisplayN", "$tenant.DisplayName");
    terminal.wait_for_text("<Litware");
    run("Get-CsOnlineUser | select -First 1 | Out-Null; 'seen ' + 'one'", "seen one");
    completed("Get-CsOnlineUser kenmyer | Sort-Object SipA", "Sort-Object SipAddress");
    terminal.ends_with("[demo] PS>");
    completed("Get-CsOnlineUser kenmyer | % { $_.SipA", "$_.SipAddress");
    terminal.press("\u{3}");
    terminal.ends_with("[demo] PS>");
    completed("Set-CsTenantPublicProvider Win", "PublicProvider WindowsLive");
    terminal.ends_with("[demo] PS>");
    completed("Write-Host shown -ForegroundColor DarkY", "DarkYellow");
    terminal.wait_for_text("\nshown\n");
    completed("help synt", "help syntax");
    terminal.wait_for_text("Supported: pipelines");
    terminal.ends_with("[demo] PS>");

    terminal.line("$name = Read-Host 'Your name'; \"hello $name\"");
    terminal.ends_with("Your name:");
    terminal.line("Ken");
    terminal.wait_for_text("hello Ken");
    terminal.ends_with("[demo] PS>");
    terminal.line("Write-Host ('wait' + 'ing'); Start-Sleep 600; 'not ' + 'reached'");
    terminal.wait_until("waiting", |text| text.trim_end().ends_with("\nwaiting"));
    terminal.press("\u{3}");
    terminal.ends_with("[demo] PS>");
    // A pipe without a writer.
    terminal.line("'read' + 'ing'; cat pipe; 'not ' + 'reached'");
    terminal.wait_until("reading", |text| text.trim_end().ends_with("\nreading"));
    terminal.press("\u{3}");
    terminal.ends_with("[demo] PS>");
    assert!(!terminal.text().contains("not reached"), "{}", terminal.text());
    for line in ["$p = 'not kept, a password'", " $p = 'not kept, begins with a space'"] {
        terminal.line(line);
        terminal.ends_with(&format!("{line}\n[demo] PS>"));
    }
    terminal.line("cls");
    terminal.wait_until("an empty screen", |text| text.trim() == "[demo] PS>");
    terminal.line("Get-History | ? CommandLine -like '*cd *' | % Id; (Get-History).CommandLine -join ' ' -like '*not kept*'");
    terminal.wait_for_text("\n1\nFalse\n");
    terminal.line("cls");
    terminal.wait_until("an empty screen", |text| text.trim() == "[demo] PS>");
    terminal.line("1..100 | Out-Host -Paging");
    terminal.ends_with("Q quit");
    terminal.press(" q");
    terminal.ends_with("[demo] PS>");
    assert!(!terminal.text().contains("\n100\n"), "{}", terminal.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_profile_has_its_own_history() {
    let (world, server) = online(Options::default(), "shell = \"console\"").await;
    std::fs::copy(world.folders.profile("work"), world.folders.profile("other")).unwrap();
    let done = tokio::task::spawn_blocking(move || {
        let open = |name: &str| {
            let terminal = Terminal::open_with(&world, lyncsh(), &[name], []);
            terminal.ends_with(&format!("[{name}] PS>"));
            terminal
        };
        let leave = |mut terminal: Terminal| {
            terminal.line("exit");
            assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        };
        let history = |name: &str| {
            let file = world.folders.state.join("history").join(format!("{name}.txt"));
            std::fs::read_to_string(file).unwrap_or_default()
        };
        let first = open("work");
        first.line("'kept ' + 'line'");
        first.wait_for_text("\nkept line\n");
        first.ends_with("[work] PS>");
        leave(first);
        assert_eq!(history("work"), "'kept ' + 'line'\nexit\n");
        let second = open("work");
        second.press("\u{1b}[A");
        second.ends_with("PS> exit");
        second.press("\u{1b}[A");
        second.ends_with("PS> 'kept ' + 'line'");
        second.press("\r");
        second.wait_for_text("\nkept line\n");
        second.ends_with("[work] PS>");
        leave(second);
        let other = open("other");
        other.line("'own ' + 'line'");
        other.wait_for_text("\nown line\n");
        other.ends_with("[other] PS>");
        // The oldest line stays in the editor. The last key shows that the others have been processed.
        other.press("\u{1b}[A\u{1b}[A\u{1b}[A#");
        other.ends_with("PS> 'own ' + 'line'#");
        other.press("\u{3}");
        other.ends_with("[other] PS>");
        leave(other);
        assert_eq!(history("other"), "'own ' + 'line'\nexit\n");
        server
    })
    .await;
    empty(&done.unwrap()).await;
}

/// Writes to a named pipe once a process reads it.
fn write_pipe(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flag = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let open = || std::fs::File::options().write(true).custom_flags(flag).open(path).ok();
    let mut pipe = found(PATIENCE, open).expect("a reader of the pipe");
    pipe.write_all(b"read\n").unwrap();
}

#[test]
fn lines_typed_ahead_run_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    Program::new("mkfifo").args([&pipe]).run().success_output();
    let terminal = Terminal::sized((150, 50), lyncsh(), &["demo"], []);
    terminal.ends_with("[demo] PS>");
    // The line runs until the pipe is written. The terminal echoes what is typed meanwhile.
    let while_running = |keys: &str, last: &str| {
        terminal.line("cls");
        terminal.wait_until("an empty screen", |text| text.trim() == "[demo] PS>");
        terminal.line(&format!("'star' + 'ted'; cat '{}'; 'first ' + 'done'", pipe.display()));
        terminal.wait_until("the running line", |text| text.trim_end().ends_with("\nstarted"));
        terminal.press(keys);
        terminal.ends_with(last);
        write_pipe(&pipe);
    };
    while_running("'second ' + 'line'\r'third ' +\r'line'\r'fou", "\n'fou");
    terminal.ends_with("[demo] PS> 'fou");
    let text = terminal.text();
    let outputs = ["first done\n", "\nsecond line\n", ">> 'line'\nthird line\n"];
    let places: Vec<Option<usize>> = outputs.iter().map(|output| text.find(output)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    terminal.press("rth ' + 'line'\r");
    terminal.wait_for_text("\nfourth line\n");
    terminal.ends_with("[demo] PS>");

    // The next line answers a question.
    while_running("$n = Read-Host Name; \"hello $n\"\rKen\r'be' + 'hind'\r", "'be' + 'hind'");
    terminal.wait_for_text("\nName: Ken\nhello Ken\n");
    terminal.wait_for_text("\nbehind\n");
    terminal.ends_with("[demo] PS>");

    // Ctrl-C drops the kept lines with the running one.
    while_running("'runs ' + 'now'; Start-Sleep 600\r'not ' + 'reached'\r'nor ", "\n'nor");
    terminal.wait_until("the second line", |text| text.trim_end().ends_with("\nruns now"));
    terminal.press("\u{3}");
    terminal.ends_with("[demo] PS>");
    terminal.line("'next ' + 'line'");
    terminal.wait_for_text("\nnext line\n");
    terminal.ends_with("[demo] PS>");
    assert!(!terminal.text().contains("not reached"), "{}", terminal.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_page_is_shown_while_the_pipeline_runs_and_ends_it() {
    let trickle = Some(Duration::from_millis(50));
    let options = Options { users: Some(2000), trickle, ..Options::default() };
    let (world, server) = online(options, "shell = \"console\"").await;
    let running = |server: &Server| server.shells().iter().map(|shell| shell.commands).sum::<usize>();
    let done = tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::work(&world, "idle");
        terminal.ends_with("[work] PS>");
        for (line, key) in [
            ("Get-CsOnlineUser | select DisplayName, City | more", "q"),
            ("Get-CsOnlineUser | Out-Host -Paging", "\u{3}"),
            ("1..3 | % { Get-CsOnlineUser } | more", "q"),
        ] {
            terminal.line(line);
            terminal.ends_with("Q quit");
            assert_eq!(running(&server), 1, "{line}");
            let page = terminal.text();
            terminal.press(" ");
            terminal.wait_until("the next page", |text| text != page && text.trim_end().ends_with("Q quit"));
            terminal.press(key);
            terminal.ends_with("[work] PS>");
            wait(PATIENCE, "the end of the pipeline", || running(&server) == 0);
        }
        // Objects are shown before the pipeline ends, also without pages.
        terminal.line("cls");
        terminal.wait_until("an empty screen", |text| text.trim() == "[work] PS>");
        terminal.line("Get-CsOnlineUser | select DisplayName, City");
        terminal.wait_for_text("\nKen Myer ");
        assert_eq!(running(&server), 1);
        terminal.press("\u{3}");
        terminal.ends_with("[work] PS>");
        terminal.line("$?; 'next ' + 'line'");
        terminal.wait_for_text("next line");
        terminal.ends_with("[work] PS>");
        terminal.line("exit");
        assert_eq!(terminal.wait_exit(), 0);
        server
    })
    .await;
    empty(&done.unwrap()).await;
}

#[test]
fn help_is_wrapped_at_words() {
    let terminal = Terminal::sized((50, 40), lyncsh(), &["demo"], []);
    terminal.ends_with("[demo] PS>");
    terminal.line("cls");
    terminal.wait_until("an empty screen", |text| text.trim() == "[demo] PS>");
    terminal.line("help syntax");
    terminal.wait_for_text("before any part of it runs.");
    terminal.ends_with("[demo] PS>");
    let text = terminal.text();
    for part in [
        "Supported: pipelines, variables, strings, arrays,\n",
        "\nNot supported, because they need PowerShell's\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profiles_transcript_records_commands_and_output() {
    let (world, server) = online(Options::default(), "transcript = \"audit\"").await;
    let folder = world.folders.profiles().join("audit");
    let done = tokio::task::spawn_blocking(move || {
        let run =
            |shell: &str, input: &str| world.program(&["work", "--shell", shell]).stdin(input).run().parts();
        let called = world.root().join("called.ps1");
        std::fs::write(&called, "\"called with $args\"\n").unwrap();
        let script = format!(
            "Get-Content '/no/password-hunter2'\n(Get-CsTenant).DisplayName\n\
             Set-CsUserAcp kenmyer -Password 'hunter2' -Nope 1\n{} -Password hunter2\n'done'\n",
            called.display()
        );
        let (_, out, err) = run("console", &script);
        assert!(out.contains("Litware\n") && out.contains("done\n"), "{out}{err}");
        assert!(
            out.contains("called with -Password hunter2") && err.contains("password-hunter2"),
            "{out}{err}"
        );
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|one| one.unwrap().path()).collect();
        let file = files.pop().unwrap();
        assert!(files.is_empty() && file.file_name().unwrap().to_str().unwrap().starts_with("work."));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        for part in [
            "PS> (Get-CsTenant).DisplayName\n",
            "Litware\n",
            "PS> Get-Content (not recorded: the line may contain a secret)\n(output not recorded)\n(message",
            "PS> Set-CsUserAcp (not recorded",
            "PS> \"called with $args\"\n(output not recorded)\nPS> 'done'\ndone\n",
            "transcript end",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        std::fs::remove_file(&file).unwrap();
        // The refusal of a script repeats its lines.
        let (code, _, err) = run("console", "'one'\nStart-Job -Password 'hunter2'\n");
        assert!(code == 2 && err.contains("hunter2"), "{err}");
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("(message not recorded") && !text.contains("hunter2"), "{text}");
        // A script records what follows its own Start-Transcript.
        let own = world.root().join("new").join("own.txt");
        run("console", &format!("Start-Transcript '{}'\n'recorded'\n", own.display()));
        let text = std::fs::read_to_string(&own).unwrap();
        assert!(text.contains("\nPS> 'recorded'\nrecorded\n**"), "{text}");
        // A folder that cannot be created is reported once, and the session runs.
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "a file").unwrap();
        let (code, out, err) = run("console", "'still here'\n'and here'\n");
        assert_eq!((code, out.as_str()), (0, "still here\nand here\n"), "{err}");
        assert_eq!(err.matches("cannot write the transcript").count(), 1, "{err}");
        server
    })
    .await;
    empty(&done.unwrap()).await;
}
