//! Scripts in one PowerShell with one session, and the end of the session.

use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use lyncsh::quote::powershell::{ascii, quote};

use crate::program::{ChildGuard, Ran};
use crate::world::World;

/// Expression with the output of the endpoint's command.
const NAMES: &str = "(Get-CsOnlineUser).DisplayName -join ';'";
const KEN: &str = "Ken Myer;Pilar Ackerman;Mr. Ümit <Öz> & \"Söhne\"";

/// Statement that sets UTF-8 for output to a pipe.
const UTF8: &str = "[Console]::OutputEncoding = [Text.Encoding]::UTF8";

/// Returns the folder of the proxies that `work` used last.
fn kept(world: &World) -> std::path::PathBuf {
    let exports = world.folders.cache.join("exports/work");
    exports.join(std::fs::read_to_string(exports.join("current")).unwrap())
}

#[test]
fn later_starts_load_the_first_export() {
    let Some(world) = World::start("") else { return };
    assert_eq!(world.with_work(&format!("{UTF8}\n{NAMES}")), [KEN]);
    world.wait_removed();
    let exports = world.folders.cache.join("exports/work");
    let kept: Vec<_> = std::fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path()).collect();
    let folder = kept.iter().find(|path| path.is_dir()).unwrap_or_else(|| panic!("{kept:?}"));
    assert!(!kept.iter().any(|path| path.extension().is_some_and(|ending| ending == "new")), "{kept:?}");
    let proxies = folder.join("proxies/proxies.ps1");
    let written = proxies.metadata().unwrap().modified().unwrap();
    assert_eq!(world.with_work(&format!("{UTF8}\n{NAMES}")), [KEN]);
    assert_eq!(proxies.metadata().unwrap().modified().unwrap(), written, "it is not exported again");
    world.wait_removed();
}

#[test]
fn nothing_is_cached_if_the_profile_disables_it() {
    let Some(world) = World::start("cache = false") else { return };
    assert_eq!(world.with_work(&format!("{UTF8}\n{NAMES}")), [KEN]);
    let kept = std::fs::read_dir(world.folders.cache.join("exports/work")).unwrap().count();
    assert_eq!(kept, 0);
    world.wait_removed();
}

#[test]
fn parameters_input_and_objects_are_transferred() {
    let Some(world) = World::start("") else { return };
    let lines = world.with_work(
        "(Get-CsOnlineUser -Identity kenmyer).SipAddress
         ('kenmyer', 'pilarackerman' | Get-CsOnlineUser).Count
         (Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -PassThru).EnterpriseVoiceEnabled
         (Get-CsOnlineUser | Select-Object -First 1 -ExpandProperty SipAddress)
         (Get-CsTenant).MaxUsers.GetType().Name
         (Get-CsBig -Count 2000 | Measure-Object -Property Id -Sum).Sum",
    );
    assert_eq!(
        lines,
        ["sip:kenmyer@litwareinc.com", "2", "True", "sip:kenmyer@litwareinc.com", "Int64", "2001000"]
    );
}

#[test]
fn each_stream_keeps_its_record_type() {
    let Some(world) = World::start("") else { return };
    // Warning records and the like only fill -WarningVariable; the screen shows the endpoint's host calls,
    // which no redirection affects. An error is a RemotingErrorRecord (HandleWarningAdded, HandleErrorReady,
    // Job.cs; PSStreamObject.WriteStreamObject).
    let lines = world.with_work(
        "$ErrorActionPreference = 'Continue'
         $all = Test-CsStreams -Verbose *>&1
         foreach ($kind in 'InformationRecord', 'ErrorRecord') {
             \"$kind $(@($all | Where-Object { $_ -is \"System.Management.Automation.$kind\" }).Count -gt 0)\"
         }
         \"<$(@($all)[-1])>\"
         try { Test-CsTerminating 2>$null; 'next' } catch { 'caught' }
         $ErrorActionPreference = 'Stop'
         try { Test-CsTerminating } catch { $_.Exception.Message }",
    );
    for wanted in [
        "careful",
        "wordy",
        "deep",
        "hosted",
        "InformationRecord True",
        "ErrorRecord True",
        "<last>",
        // With Continue, a terminating error of a cmdlet is written like any remote error; with Stop it is
        // caught.
        "next",
        "Access to the tenant is denied.",
    ] {
        assert!(lines.iter().any(|line| line.contains(wanted)), "{wanted}: {lines:?}");
    }
}

#[test]
fn variables_describe_the_session() {
    let Some(world) = World::start("session = \"büro\"") else { return };
    let lines = world.with_work(
        "$büro.GetType().Name; $büro.State; $lyncsh.Profile; $lyncsh.User; $lyncsh.Agent
         $lyncsh.Connected -is [datetime]
         (Get-PSSession).Name
         Remove-Module lyncsh-work
         [bool](Get-Command Get-CsTenant -ErrorAction Ignore); [bool](Get-Variable lyncsh -ErrorAction Ignore)",
    );
    assert_eq!(lines[..4], ["PSSession", "Opened", "work", lyncsh::simulator::USER]);
    assert!(lines[4].parse::<u32>().is_ok(), "{lines:?}");
    assert_eq!(lines[5..], ["True", "work", "False", "False"]);
    world.wait_removed();
}

#[test]
fn a_secure_string_is_readable_only_at_the_endpoint() {
    let Some(world) = World::start("") else { return };
    let lines = world.with_work(
        "$pin = [securestring]::new(); 'P1n'.ToCharArray() | ForEach-Object { $pin.AppendChar($_) }
         $told = Set-CsSecret -Pin $pin
         $told.Pin; $told.Echo.GetType().Name",
    );
    assert_eq!(lines, ["P1n", "SecureString"]);
}

#[test]
fn wildcard_default_values_send_no_secret() {
    let Some(world) = World::start("") else { return };
    let lines = world.with_work(
        "$pin = ConvertTo-SecureString -String geheim -AsPlainText -Force
         $PSDefaultParameterValues = @{ '*:Pin' = $pin }
         try { Set-CsSecret } catch { $_.FullyQualifiedErrorId }
         $PSDefaultParameterValues = @{ '*:Pin*' = { $pin } }
         try { Set-CsSecret } catch { $_.FullyQualifiedErrorId }
         $PSDefaultParameterValues = @{ 'Set-CsSecret:Pin' = $pin }
         (Set-CsSecret).Pin
         $PSDefaultParameterValues = @{ '*:Identity' = 'kenmyer' }
         (Get-CsOnlineUser).SipAddress",
    );
    assert_eq!(
        lines,
        [
            "SecretByDefault,Set-CsSecret",
            "SecretByDefault,Set-CsSecret",
            "geheim",
            "sip:kenmyer@litwareinc.com"
        ]
    );
}

#[test]
fn removing_the_session_removes_its_cmdlets() {
    let Some(world) = World::start("") else { return };
    let lines = world.with_work(
        "$held = $session
         Remove-PSSession $session
         foreach ($try in 1..100) { if (-not (Get-Module lyncsh-work)) { break }; Start-Sleep -Milliseconds 50 }
         [bool](Get-Module lyncsh-work); [bool](Get-Command Get-CsTenant -ErrorAction Ignore)
         try { Import-PSSession $held } catch { 'refused' }",
    );
    assert_eq!(lines, ["False", "False", "refused"]);
    world.wait_removed();
}

#[test]
fn attach_replaces_a_dead_agent() {
    let Some(world) = World::start("") else { return };
    let import = world.import("work");
    let lines = world.with_work(&format!(
        "Stop-Process -Id $lyncsh.Agent -Force
         foreach ($try in 1..200) {{ if (-not (Get-Module lyncsh-work)) {{ break }}; Start-Sleep -Milliseconds 50 }}
         [bool](Get-Module lyncsh-work)
         {import}
         @(Get-PSSession).Count
         (Get-CsOnlineUser -Identity kenmyer).SipAddress"
    ));
    assert!(lines.join("").contains("the session of 'work' is gone"), "{lines:?}");
    assert_eq!(lines[lines.len() - 3..], ["False", "1", "sip:kenmyer@litwareinc.com"]);
    world.wait_removed();
}

#[test]
fn a_prefix_renames_the_imported_commands() {
    let Some(world) = World::start("prefix = \"Lw\"\nimport = [\"Get-Cs*\"]") else { return };
    let lines = world.with_work(
        "(Get-LwCsOnlineUser -Identity kenmyer).SipAddress
         foreach ($name in 'Get-CsOnlineUser', 'Set-LwCsUser') { [bool](Get-Command $name -ErrorAction Ignore) }",
    );
    assert_eq!(lines, ["sip:kenmyer@litwareinc.com", "False", "False"]);
}

#[test]
fn two_connections_work_side_by_side() {
    let Some(world) = World::start("session = \"first\"") else { return };
    world.profile("other", "session = \"second\"\nprefix = \"Ot\"");
    let import = world.import("other");
    let lines = world.with_work(&format!(
        "{import}
         (Get-CsOnlineUser kenmyer).SipAddress; (Get-OtCsOnlineUser pilarackerman).SipAddress
         $lyncsh.Profile -join ' '; $first.Name; $second.Name
         Remove-PSSession $first
         foreach ($try in 1..100) {{ if (-not (Get-Module lyncsh-work)) {{ break }}; Start-Sleep -Milliseconds 50 }}
         (Get-OtCsOnlineUser kenmyer).SipAddress; $lyncsh.Profile"
    ));
    let (ken, pilar) = ("sip:kenmyer@litwareinc.com", "sip:pilarackerman@litwareinc.com");
    assert_eq!(lines, [ken, pilar, "work other", "work", "other", ken, "other"]);
    world.wait_removed();
}

#[test]
fn the_session_variable_is_the_last_live_session() {
    let Some(world) = World::start("") else { return };
    world.profile("two", "prefix = \"Tw\"");
    let (work, two) = (world.import("work"), world.import("two"));
    let output = world.output(&format!(
        "{work}\n{two}\n$session.Name\n{work}\n$session.Name\n{two}\nRemove-PSSession $session\nwhile ((Get-Module lyncsh-two) -and $waited++ -lt 600) {{ Start-Sleep -Milliseconds 100 }}\n$session.Name\n(Get-CsTenant).DisplayName\n$lyncsh.Profile"
    ));
    assert_eq!(output.out, "two\nwork\nwork\nLitware\nwork\n", "{output:?}");
    world.wait_removed();
}

#[test]
fn confirmation_preferences_do_not_affect_an_import() {
    let Some(world) = World::start("") else { return };
    let import = world.import("work");
    for preference in ["$WhatIfPreference = $true", "$ConfirmPreference = 'Low'"] {
        let output = world.output(&format!(
            "{preference}\n{import}\n(Get-CsTenant).DisplayName\n(Get-CsOnlineUser kenmyer | Format-Table | Out-String).Trim().StartsWith('Name')\nRemove-Module lyncsh-work -WhatIf:$false -Confirm:$false\n@(Get-PSSession).Count\n@(Get-Variable lyncsh, session -ErrorAction Ignore).Count"
        ));
        assert_eq!(output.out, "Litware\nTrue\n0\n0\n", "{preference}: {output:?}");
        world.wait_removed();
    }
}

#[cfg(unix)]
#[test]
fn an_agent_killed_before_the_attach_is_reported_at_once() {
    let Some(world) = World::start("") else { return };
    world.with_work("(Get-CsTenant).DisplayName");
    world.wait_removed();
    // As in a launched PowerShell: the answer is in a file, and the agent has ended when it is read.
    let import = world.import("work");
    let folder = world.temp.path().join("dead");
    std::fs::create_dir(&folder).unwrap();
    let socket = folder.join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let gate = folder.join("gate");
    let mut gone = crate::program::Program::new("true").start();
    let process = gone.0.id();
    gone.wait();
    std::fs::write(
        folder.join("gate.work"),
        format!(
            "socket={}\nagent={process}\nready=true\nproxies={}\n",
            socket.display(),
            kept(&world).display()
        ),
    )
    .unwrap();
    let script = world.script(&import);
    let start = std::time::Instant::now();
    let shell = world.shell().env(lyncsh::shell::pwsh::output_gate::VARIABLE, &gate);
    let output = shell.args(["-NonInteractive", "-File"]).args([script]).run();
    let text = unwrapped(&output.err);
    assert!(
        text.contains(&format!("the agent of 'work' (process {process}) is gone; import it again")),
        "{text}"
    );
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn damaged_proxies_are_rewritten() {
    let Some(world) = World::start("") else { return };
    world.with_work("(Get-CsTenant).DisplayName");
    let kept = kept(&world);
    for file in ["proxies/proxies.ps1", "names", "targets", "proxies/proxies.format.ps1xml"] {
        std::fs::write(kept.join(file), "").unwrap();
        assert_eq!(world.with_work("(Get-CsTenant).DisplayName"), ["Litware"], "{file}");
        std::fs::remove_file(kept.join(file)).unwrap();
        assert_eq!(world.with_work("(Get-CsTenant).DisplayName"), ["Litware"], "{file}");
    }
    world.wait_removed();
}

#[test]
fn profile_names_may_have_special_characters() {
    let Some(world) = World::start("") else { return };
    for name in ["O'Brien’s", "Jürgen Büro", "a [b]"] {
        world.profile(name, "");
        let import = world.import(name);
        let output = world.output(&format!("{UTF8}\n{import}\n{NAMES}\n$lyncsh.Profile"));
        let out = output.out;
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines, [KEN, name], "{}", output.err);
    }
}

#[test]
fn the_first_call_of_a_cmdlet_loads_the_module() {
    let Some(world) = World::start("") else { return };
    world.with_work("(Get-CsTenant).DisplayName");
    world.wait_removed();
    let modules = world.folders.cache.join("modules");
    let lines = {
        let body = format!(
            "$env:PSModulePath = '{}' + [IO.Path]::PathSeparator + $env:PSModulePath
             (Get-Command Get-CsTenant).Source; [bool](Get-Module lyncsh-work)
             (Get-CsOnlineUser kenmyer).SipAddress; [bool](Get-Module lyncsh-work)",
            modules.display()
        );
        let output = world.output(&body);
        assert!(output.code == Some(0), "{}", output.err);
        output.out
    };
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines[0], "lyncsh-work");
    assert_eq!(lines[2..], ["sip:kenmyer@litwareinc.com", "True"]);
    world.wait_removed();
}

#[test]
fn concurrent_first_starts_both_import() {
    let Some(world) = World::start("") else { return };
    world.script(&format!("{}\n(Get-CsOnlineUser kenmyer).SipAddress", world.import("work")));
    let start = || {
        let shell = world.shell().args(["-NonInteractive", "-File"]);
        shell.args([world.temp.path().join("test.ps1")]).start()
    };
    for shell in [start(), start()] {
        let output = shell.ran();
        let out = &output.out;
        assert_eq!(out.trim_end(), "sip:kenmyer@litwareinc.com", "{}", output.err);
    }
    world.wait_removed();
}

#[test]
fn a_failed_connection_throws_its_reason() {
    let Some(world) = World::start("") else { return };
    let import = world.import("work");
    world.profile("work", "prefx = 1");
    let output = world.output(&format!("try {{ {import} }} catch {{ $_.Exception.Message }}"));
    let out = &output.out;
    assert!(out.contains("lyncsh: ") && out.contains("has a mistake"), "{out}");
}

/// Starts a shell that stays open; returns when its cmdlets are imported.
fn staying(world: &World) -> ChildGuard {
    let body = format!("{}\n(Get-CsTenant).DisplayName\nStart-Sleep -Seconds 600", world.import("work"));
    let script = world.script(&body);
    let shell = world.shell().args(["-NonInteractive", "-File"]).args([script]);
    let mut shell = shell.stderr(Stdio::inherit()).start();
    let line = shell.line();
    assert_eq!(line.trim_end(), "Litware");
    shell
}

#[cfg(unix)]
#[test]
fn a_shell_killed_by_any_signal_leaves_no_session() {
    use rustix::process::Signal;
    let handled = [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT];
    // Not SIGABRT, which .NET handles as its own crash and survives for long (tested).
    let unhandled = [Signal::KILL, Signal::ALARM, Signal::USR1, Signal::USR2];
    // Without real-time signals, .NET uses USR1 itself and survives it.
    let ends = |signal: &Signal| !(cfg!(target_vendor = "apple") && *signal == Signal::USR1);
    for signal in handled.into_iter().chain(unhandled).filter(ends) {
        let Some(world) = World::start("") else { return };
        let shell = staying(&world);
        assert_eq!(world.front.server.shells().len(), 1);
        crate::program::signal(shell.0.id(), signal);
        world.wait_removed();
        world.wait(crate::program::PATIENCE, "the agent ends", || world.agent("work").is_none());
    }
}

#[test]
fn a_second_shell_shares_the_session() {
    let Some(world) = World::start("") else { return };
    let shell = staying(&world);
    world.script("");
    assert_eq!(world.with_work("(Get-CsOnlineUser kenmyer).SipAddress"), ["sip:kenmyer@litwareinc.com"]);
    assert_eq!(world.front.server.shells().len(), 1, "the first shell's stays");
    drop(shell);
    world.wait_removed();
}

#[test]
fn refresh_imports_immediately() {
    let Some(world) = World::start("") else { return };
    world.with_work("(Get-CsTenant).DisplayName");
    let output = world.lyncsh(&["refresh", "work"]).run();
    let out = &output.out;
    assert!(out.contains("imported ") && out.contains(" cmdlets of 'work'"), "{output:?}");
    let exports = world.folders.cache.join("exports/work");
    let left: Vec<_> = std::fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.join("expired").exists()), "{left:?}");
    assert!(
        !left.iter().any(|path| path.extension().is_some_and(|ending| ending == "old" || ending == "new")),
        "{left:?}"
    );
    world.wait_removed();
}

/// Returns an error without the line breaks and the bar that PowerShell adds in a terminal.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

#[test]
fn damaged_proxies_are_reported_with_the_repair_command() {
    let Some(world) = World::start("") else { return };
    world.with_work("(Get-CsTenant).DisplayName");
    world.wait_removed();
    let proxies = kept(&world).join("proxies/proxies.ps1");
    // The same length as before, so only PowerShell detects the damage.
    let whole = std::fs::read_to_string(&proxies).unwrap();
    std::fs::write(&proxies, whole.replacen("function Get-CsTenant{", "function Get-CsTenant(", 1)).unwrap();
    let output = world.output(&format!("{}\n'next'", world.import("work")));
    let err = unwrapped(&output.err);
    assert!(output.code != Some(0) && output.out.is_empty(), "{output:?}");
    assert!(
        err.contains("cannot import the commands of 'work':") && err.contains("`lyncsh refresh work`"),
        "{err}"
    );
    world.wait_removed();
    world.lyncsh(&["refresh", "work"]).run().success_output();
    assert_eq!(world.with_work("(Get-CsTenant).DisplayName"), ["Litware"]);
    world.wait_removed();
}

#[test]
fn restricted_language_modes_get_no_session() {
    let Some(world) = World::start("") else { return };
    let import = world.import("work");
    for mode in ["ConstrainedLanguage", "RestrictedLanguage"] {
        let output =
            world.output(&format!("$ExecutionContext.SessionState.LanguageMode = '{mode}'\n{import}"));
        let expected = format!(
            "lyncsh: this PowerShell runs in {mode} mode, in which no session can be opened; use the console: set shell = \"console\" in the profile 'work'"
        );
        assert!(output.code != Some(0) && unwrapped(&output.err).contains(&expected), "{output:?}");
        assert!(world.front.server.shells().is_empty() && world.agent("work").is_none(), "{mode}");
    }
}

#[test]
fn a_changed_command_set_is_reported_in_one_line_and_imported_again() {
    let Some(world) = World::start("") else { return };
    world.with_work("(Get-CsTenant).DisplayName");
    world.wait_removed();
    let exports = world.folders.cache.join("exports/work");
    let folders = std::fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path());
    let folder = folders.into_iter().find(|path| path.is_dir()).unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    // As the agent writes after its check, when the endpoint offers other commands.
    let stem = name.split_once('-').unwrap().0;
    std::fs::write(exports.join(format!("{stem}.commands")), "Get-CsOther\n").unwrap();
    let output = world.output(&format!("{}\n(Get-CsTenant).DisplayName", world.import("work")));
    let (out, err) = (&output.out, &output.err);
    assert_eq!(out.trim_end(), "Litware", "{err}");
    assert_eq!(err.matches("the commands of 'work' have changed").count(), 1, "{err}");
    assert!(folder.join("names").is_file());
}

#[test]
fn piped_input_runs_as_one_script() {
    let Some(world) = World::start("") else { return };
    let run = |text: &str| {
        let program = world.lyncsh(&["work", "--", "-NoProfile"]).env("NO_COLOR", "1");
        let program = program.env("LC_ALL", "C.UTF-8").env("POWERSHELL_TELEMETRY_OPTOUT", "1");
        let Ran { code, out, err } = program.stdin(text).run();
        (code, out, err)
    };
    let guard = "if ((Get-CsOnlineUser).Count -gt 1) {\n  'too many'\n  exit 9\n}\n'not run'\n";
    let (code, out, err) = run(guard);
    assert_eq!((code, out.as_str()), (Some(9), "too many\n"), "{err}");
    let (code, out, err) = run("'begun'\nif (\n");
    assert_ne!(code, Some(0), "{out}{err}");
    assert!(!out.contains("begun"), "{out}{err}");
    let left = std::fs::read_dir(&world.folders.runtime).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".ps1")), "{left:?}");
    world.wait_removed();
}

#[test]
fn user_preferences_do_not_affect_an_import() {
    let Some(world) = World::start("") else { return };
    let import = world.import("work");
    // First import and cached one.
    for _ in 0..2 {
        let output = world.output(&format!(
            "$PSModuleAutoLoadingPreference = 'None'; $WarningPreference = 'Stop'; $VerbosePreference = 'Continue'
             $PSDefaultParameterValues = @{{ '*:ErrorAction' = 'Stop'; 'Import-Module:Prefix' = 'X' }}
             Microsoft.PowerShell.Core\\Set-StrictMode -Version Latest
             $PSDefaultParameterValues.Remove('Import-Module:Prefix')
             {import}
             [Console]::WriteLine((Get-CsTenant).DisplayName)
             [Console]::WriteLine((Get-CsOnlineUser kenmyer -ProgressAction SilentlyContinue).SipAddress)
             [Console]::WriteLine($PSModuleAutoLoadingPreference + $WarningPreference + $PSDefaultParameterValues.Count)"
        ));
        let out = &output.out;
        let lines: Vec<_> = out.lines().filter(|line| !line.starts_with("VERBOSE: ")).collect();
        assert_eq!(lines, ["Litware", "sip:kenmyer@litwareinc.com", "NoneStop1"], "{output:?}");
        world.wait_removed();
    }
}

#[test]
fn quoted_text_round_trips() {
    let Some(world) = World::start("") else { return };
    let long = "x’".repeat(5000);
    let texts = [
        "",
        "plain",
        "it's",
        "‘’‚‛“”„",
        "`\"$(1)$x",
        "{}[]()@#;|&<>",
        "a\r\nb\tc\n'@\n",
        "nul\0\0'",
        "\\ \\u0041 \\",
        "Jörg 🦀 Ω\u{feff}\u{2028}",
        &long,
    ];
    let body: String = texts
        .iter()
        .flat_map(|text| [quote(text), ascii(text)])
        .map(|source| format!("[Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes({source}))\n"))
        .collect();
    let output = world.output(&body);
    let out = output.out;
    let mut lines = out.lines();
    for text in texts {
        let expected = STANDARD.encode(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
        for which in ["quote", "ascii"] {
            assert_eq!(lines.next(), Some(expected.as_str()), "{which}: {text:?}: {}", output.err);
        }
    }
}
