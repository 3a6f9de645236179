//! `lyncsh demo` in a terminal and with piped input.

use std::io::Write as _;

use crate::program::{Program, Ran, lyncsh, signal};
use crate::stand_in::Terminal;

fn piped(lines: &str) -> (String, String, Option<i32>) {
    let Ran { code, out, err } = Program::lyncsh().args(["demo"]).stdin(lines).run();
    (out, err, code)
}

#[test]
fn a_piped_demo_prints_the_tenant() {
    let (out, err, code) = piped("Get-CsTenant\nexit\n");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("DisplayName                : Litware"), "{out}");
}

#[test]
fn a_failed_command_sets_the_exit_code() {
    let (_, err, code) = piped("Get-CsTenant\nGet-CsNothing\n");
    assert_eq!(code, Some(1));
    let (out, _, code) = piped("Get-CsNothing\nGet-CsTenant\n");
    assert_eq!(code, Some(1));
    assert!((out + &err).contains("The term 'Get-CsNothing' is not recognized as the name of a cmdlet"));
}

#[test]
fn local_stages_process_endpoint_objects() {
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

#[test]
fn a_prompt_without_a_terminal_is_an_error() {
    let (out, err, code) = piped("Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -Confirm\nexit 4\n");
    let printed = out + &err;
    assert!(printed.contains("Cannot answer the command's prompt: no terminal"), "{printed}");
    assert_eq!(code, Some(4));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_piped_session_waiting_for_input() {
    let mut child = Program::lyncsh().args(["-v", "demo"]).start();
    let mut input = child.input();
    input.write_all(b"'never'\n").unwrap();
    let mut printed = std::io::BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Initializing remote session") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut printed, &mut line).unwrap() > 0);
    }
    signal(child.0.id(), rustix::process::Signal::INT);
    std::io::Read::read_to_string(&mut printed, &mut line).unwrap();
    let Ran { code, out, .. } = child.ran();
    assert_eq!((code, out.as_str()), (Some(130), ""), "{line}");
    drop(input);
}

#[test]
fn parenthesized_pipelines_and_redirections_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (table, errors) = (at("users.txt"), at("errors.txt"));
    let (out, err, code) = piped(&format!(
        concat!(
            "(Get-CsTenant).DisplayName\n",
            "Set-CsUser -Identity (Get-CsOnlineUser kenmyer).Identity -EnterpriseVoiceEnabled $true\n",
            "\"voice: $((Get-CsOnlineUser kenmyer).EnterpriseVoiceEnabled)\"\n",
            "Get-CsOnlineUser | select @{{n='Who';e={{$_.SipAddress -replace '^sip:',''}}}} | ConvertTo-Csv\n",
            "Get-CsOnlineUser kenmyer > '{}'\n",
            "Get-CsNothing 2> '{}'\n",
            "Get-CsNothing 2>$null\n",
            "(Get-CsNothing).Name\n",
            "gcm Get-CsTenant | % Name\n",
            "(Get-Module).ExportedCommands -contains 'Get-CsTenant' -and $true\n",
            "gmo | select Name\n",
            "Get-CsOnlineUser | ? DisplayName -like Pilar* | Set-CsUser -EnterpriseVoiceEnabled $true\n",
            "\"pilar: $((Get-CsOnlineUser pilarackerman).EnterpriseVoiceEnabled)\"\n",
        ),
        table.display(),
        errors.display()
    ));
    assert_eq!(code, Some(1), "{out}\n{err}");
    assert!(out.contains("Litware\n") && out.contains("voice: True\n"), "{out}");
    assert!(out.contains("pilar: True\n"), "{out}\n{err}");
    assert!(out.contains("\"Who\"\n\"kenmyer@litwareinc.com\"\n"), "{out}");
    assert!(out.contains("Get-CsTenant\n"), "{out}");
    // Drawn with the view of the endpoint's format data.
    let drawn = std::fs::read_to_string(table).unwrap();
    assert!(drawn.contains("Ken Myer                 kenmyer@litwareinc.com"), "{drawn}");
    assert!(std::fs::read_to_string(errors).unwrap().contains("The term 'Get-CsNothing' is not recognized"));
    assert_eq!(err.matches("is not recognized").count(), 1, "{err}");
    assert!(!err.contains('\u{1b}'), "{err}");
}

fn demo() -> Terminal {
    Terminal::sized((120, 40), lyncsh(), &["demo"], [])
}

fn prompts(terminal: &Terminal) {
    terminal.ends_with("[demo] PS>");
}

/// Types a line, waits for its output and the next prompt.
fn run(terminal: &Terminal, line: &str, answer: &str) {
    terminal.line(line);
    terminal.wait_for_text(answer);
    prompts(terminal);
}

#[test]
fn ctrl_c_discards_input_and_returns_to_the_prompt() {
    let terminal = demo();
    let has_prompts = |count| {
        terminal.wait_until("the next prompt", |text| text.matches("[demo] PS>").count() == count);
        prompts(&terminal);
    };
    has_prompts(1);
    terminal.press("\x03");
    has_prompts(2);
    terminal.press("half a li");
    terminal.wait_until("the half line", |text| text.contains("half a li"));
    terminal.press("\x03");
    has_prompts(3);
    terminal.press("\"two\r");
    terminal.wait_until("the second line", |text| text.trim_end().ends_with(">>"));
    terminal.press("\x03");
    has_prompts(4);
    terminal.press("Get-CsT\t");
    terminal.wait_until("the candidates", |text| text.contains("Get-CsTenantHybridConfiguration"));
    terminal.press("\x03");
    has_prompts(5);
    terminal.press("Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -Confirm\r");
    terminal.wait_until("the question", |text| text.contains("[Y] Yes"));
    terminal.press("\x03");
    prompts(&terminal);
    run(&terminal, "(Get-CsOnlineUser kenmyer).EnterpriseVoiceEnabled", "\nFalse");
    run(&terminal, "gmo", "lyncsh-demo");
    run(&terminal, "help Get-CsTenant", "SYNOPSIS");
    terminal.press("cls\r");
    terminal.wait_until("the empty screen", |text| !text.contains("SYNOPSIS"));
    prompts(&terminal);
}

#[test]
fn a_user_works_in_the_demo() {
    let mut terminal = demo();
    prompts(&terminal);
    run(&terminal, "Get-CsTenant", "DisplayName                : Litware");
    run(&terminal, "Get-CsOnlineUser | Select-Object DisplayName, SipAddress", "sip:kenmyer@litwareinc.com");
    terminal.press("Set-CsUser kenmyer -Ent\t");
    terminal.wait_until("the parameter's completion", |text| {
        text.contains("Set-CsUser kenmyer -EnterpriseVoiceEnabled")
    });
    terminal.press(" $true -Confirm\r");
    terminal.wait_until("the question", |text| text.contains("[Y] Yes  [A] Yes to All"));
    terminal.press("y\r");
    prompts(&terminal);
    run(&terminal, "(1,2,3) | Measure-Object | select Count", "3");
    run(&terminal, "Get-CsOnlineUser kenmyer | fl EnterpriseVoiceEnabled", "EnterpriseVoiceEnabled : True");
    terminal.press("Start-CsExMeetingMigration kenmyer\r");
    terminal.wait_until("the progress bar", |text| text.contains('%'));
    terminal.press("\x03");
    prompts(&terminal);
    assert!(!terminal.text().contains('%'), "the bar is still there:\n{}", terminal.text());
    run(&terminal, "Get-CsOnlineUser | Measure-Object | fl Count", "Count : ");
    terminal.press("exit\r");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
}

#[test]
fn the_demo_of_the_readme_shows_what_the_readme_shows() {
    let text = include_str!("../../README.md");
    let (_, rest) = text.split_once("```text\n$ lyncsh demo\n").unwrap();
    let (block, _) = rest.split_once("\n```\n").unwrap();
    let mut terminal = demo();
    prompts(&terminal);
    let typed: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("[demo] PS> ")).collect();
    assert!(typed.len() > 2 && typed.last() == Some(&"exit"), "{typed:?}");
    for (index, line) in typed.iter().enumerate() {
        terminal.line(line);
        if index + 1 < typed.len() {
            let count = index + 2;
            terminal.wait_until("the next prompt", |text| text.matches("[demo] PS>").count() == count);
            prompts(&terminal);
        }
    }
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    let shown = terminal.text();
    let mut lines = shown.lines().map(str::trim_end);
    for line in block.lines().filter(|line| line.trim() != "\u{2026}") {
        assert!(lines.any(|shown| shown == line), "{line:?}\n{shown}");
    }
}

/// Returns the command cache of the only profile in a folder.
fn cache_file(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if folder.parent().is_some_and(|parent| parent.ends_with("commands")) {
                return Some(path);
            }
        }
    }
    None
}

#[cfg(unix)]
#[test]
fn a_stale_or_broken_cache_is_replaced_in_the_background() {
    let mut server = Program::lyncsh().args(["demo", "--serve"]).start();
    let ready = server.ready();
    let text = |name: &str| ready[name].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("profiles")).unwrap();
    let profile = format!(
        "kind = \"lync-online\"\nuser = \"{}\"\ndiscovery = \"{}\"\ncredential = {{ command = \"echo '{}'\" }}\n\
         shell = \"console\"\n",
        text("user"),
        text("discovery"),
        text("password")
    );
    std::fs::write(folder.path().join("profiles/work.toml"), profile).unwrap();
    let work = || {
        let terminal = Terminal::sized(
            (120, 40),
            lyncsh(),
            &["work"],
            [("LYNCSH_CONFIG_DIR", folder.path().to_str().unwrap().to_owned())],
        );
        terminal.wait_until("the prompt", |text| text.trim_end().ends_with("[work] PS>"));
        terminal
    };
    let leave = |mut terminal: Terminal| {
        terminal.line("exit");
        assert_eq!(terminal.wait_exit(), 0);
    };
    let terminal = work();
    terminal.wait_until("a cache file", |_| cache_file(folder.path()).is_some());
    leave(terminal);
    let file = cache_file(folder.path()).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.contains("\"Get-CsTenant\""), "{whole}");

    std::fs::write(&file, whole.replace("\"Get-CsTenant\"", "\"Get-CsGone\"")).unwrap();
    let terminal = work();
    let replaced = |_: &str| {
        let now = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        now.contains("\"Get-CsTenant\"") && !now.contains("Get-CsGone")
    };
    terminal.wait_until("the new names", replaced);
    leave(terminal);

    std::fs::write(&file, b"{\"names\": 7\xff").unwrap();
    let terminal = work();
    terminal.wait_until("the cache in place of the broken one", replaced);
    assert!(!terminal.text().to_lowercase().contains("error"), "{}", terminal.text());
    leave(terminal);
}

#[test]
fn an_imported_csv_is_processed_per_user() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("users.csv");
    std::fs::write(&list, "\u{feff}Upn,Voice,\nkenmyer@litwareinc.com,yes,1\nnobody,no,2\n").unwrap();
    let (out, err, code) = piped(&format!(
        concat!(
            "Import-Csv '{0}' | % {{ Set-CsUser $_.Upn -EnterpriseVoiceEnabled ($_.Voice -eq 'yes') }}\n",
            "Get-CsOnlineUser | select -Expand EnterpriseVoiceEnabled\n",
            "$u = 7\n",
            "foreach ($u in Get-CsOnlineUser) {{ $name = $u.DisplayName; foreach ($p in 'City') {{ \"$name $($u.$p)\" }} }}\n",
            "'kenmyer' | ForEach-Object -Process {{ (Get-CsOnlineUser $_).City; Get-CsOnlineUser $_ | % City }} | ConvertTo-Json -Compress\n",
            "gc '{0}' | select -First 1\n",
            "Import-Csv '{0}' | select -First 1 H3 | ConvertTo-Csv\n",
            "'a' | % {{ exit 4 }}\n",
        ),
        list.display()
    ));
    assert_eq!(code, Some(4), "{out}\n{err}");
    assert!(out.contains("True\nFalse\nKen Myer Redmond\nPilar Ackerman Redmond\n"), "{out}\n{err}");
    assert!(out.contains("[\"Redmond\",\"Redmond\"]\n"), "{out}\n{err}");
    assert!(out.contains("Upn,Voice,\n") && out.contains("\"H3\"\n\"1\"\n"), "{out}\n{err}");
    assert_eq!(err.matches("Management object not found for identity \"nobody\"").count(), 1, "{err}");
}

#[test]
fn unreadable_lists_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (narrow, twice) = (folder.path().join("ansi.csv"), folder.path().join("twice.csv"));
    std::fs::write(&narrow, b"Name\nJ\xfcrgen\n").unwrap();
    std::fs::write(&twice, "A;a\n1;2\n").unwrap();
    let (out, err, _) = piped(&format!(
        concat!(
            "Import-Csv '{0}'\n",
            "Import-Csv '{0}' -Encoding ansi | % Name\n",
            "Import-Csv '{1}' ';'\n",
            "Import-Csv '{2}'\n",
        ),
        narrow.display(),
        twice.display(),
        folder.path().join("none.csv").display()
    ));
    assert_eq!(out, "J\u{fc}rgen\n", "{err}");
    for printed in [
        "line 2 is not UTF-8: save the file as UTF-8",
        "or pass its encoding, such as -Encoding ansi",
        "two columns have this name",
        "Could not find file",
    ] {
        assert!(err.contains(printed), "{printed}\n{err}");
    }
    let (out, err, code) = piped("Get-CsTenant | Import-Csv x\nforeach ($u of Get-CsTenant) { $u }\n");
    assert_eq!((out.as_str(), code), ("", Some(2)), "{err}");
    for printed in [
        "Cannot pipe into 'Import-Csv': put it first.",
        "Invalid foreach; expected: foreach ($user in Get-CsOnlineUser)",
    ] {
        assert!(err.contains(printed), "{printed}\n{err}");
    }
}

#[test]
fn an_endpoint_filter_is_passed_unchanged() {
    let (out, err, code) = piped(
        "Get-CsOnlineUser -Filter {City -eq 'Redmond'} | Measure-Object | ForEach-Object Count\n\
         Get-CsOnlineUser -Filter { LineURI -ne $null } | Select-Object -First 1 | Measure-Object | ForEach-Object Count\n",
    );
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.lines().all(|line| line.trim().parse::<u32>().is_ok()) && out.lines().count() == 2, "{out}");
}

#[test]
fn typed_numbers_are_sent_as_typed() {
    let (out, err, code) = piped("Get-CsOnlineUser 0049301234\nGet-CsOnlineUser +14255551234\n");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("\"0049301234\"") && err.contains("\"+14255551234\""), "{err}");
}
