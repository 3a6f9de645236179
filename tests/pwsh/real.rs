//! Tests with a real PowerShell as endpoint: a restricted one as with JEA (`real.pssc`), and an unrestricted
//! one.

use std::path::Path;

use rustix::process::Signal;

use crate::front::Options;
use crate::program::signal;
use crate::terminal::Terminal;
use crate::world::{REMOVAL_TIMEOUT, World};

const OURS: &str = "[work] PS />";

pub fn restricted(pwsh: &Path, folder: &Path) -> Options {
    let file = folder.join("real.pssc");
    std::fs::write(&file, include_str!("real.pssc")).unwrap();
    Options::configured(pwsh, file)
}

fn unrestricted(pwsh: &Path, _: &Path) -> Options {
    Options::new(pwsh)
}

fn work(world: &World) -> Terminal {
    let terminal = Terminal::open(world, "work");
    terminal.prompts(OURS, ">");
    terminal
}

/// Waits until no shell and no PowerShell of the endpoint is left.
fn empty(world: &World) {
    world.wait(REMOVAL_TIMEOUT, "the endpoint's PowerShells end", || {
        world.front.server.shells().is_empty() && world.front.processes().is_empty()
    });
}

#[test]
fn objects_streams_and_secrets_are_transferred() {
    let Some(world) = World::real(restricted, "") else { return };
    let lines = world.with_work(
        r#"$one = Get-FrontSample
"$($one.Whole.GetType().Name) $($one.Large) $($one.Price.GetType().Name) $($one.Day.ToString('s')) $($one.List.Count) $($one.Table.One)"
$ErrorActionPreference = 'Continue'
Write-FrontStreams *>&1 | ForEach-Object { "$($_.GetType().Name): $_" }
(Get-FrontText -Length 400000).Length
Measure-FrontText -Text ('x' * 100000)
('x' * 3), ('x' * 5) | Measure-FrontText
Read-FrontSecret -Secret (ConvertTo-SecureString -String 'geheim' -AsPlainText -Force)
Read-FrontCredential -Credential ([pscredential]::new('ken', (ConvertTo-SecureString -String 'geheim' -AsPlainText -Force)))
@(Get-Command -Module lyncsh-work -Name *-Front*).Count
Get-CsTenant"#,
    );
    assert_eq!(
        lines,
        [
            "Int32 9007199254740993 Decimal 2021-05-03T10:20:30 2 1",
            // A warning and an information line are host calls; the endpoint sends no record of the
            // warning here, also without lyncsh (seen in PowerShell 7.6.9).
            "RemotingErrorRecord: an error",
            "WARNING: a warning",
            "InformationRecord: information",
            "information",
            "String: output",
            "400000",
            "100000",
            "3",
            "5",
            "6",
            "ken 6",
            "13",
        ]
    );
    empty(&world);
}

#[test]
fn values_match_powershells_own_remoting() {
    let Some(world) = World::real(unrestricted, "") else { return };
    let lines = world.with_work(
        r#"$values = @(
    'text', "a`r`n`t`u{1}`u{d7ff}_x0041_", '', [char]'x', $true, $null, [byte]200, [sbyte]-5, [int16]-7, [uint16]7, 8, [uint32]9,
    9007199254740993, [uint64]::MaxValue, 1.5, [double]::NaN, [double]::PositiveInfinity, [double]::Epsilon, [float]0.1,
    12.50d, [decimal]::MaxValue, [datetime]'2021-05-03T10:20:30.1234567', [datetime]::new(2021, 5, 3, 0, 0, 0, [System.DateTimeKind]::Utc),
    [datetimeoffset]'2021-05-03T10:20:30+02:00', [timespan]'1.02:03:04.5', [guid]'6d3f1a5e-0000-4000-8000-000000000001',
    [version]'1.2.3.4', [uri]'https://example.net/a?b=c', [System.DayOfWeek]::Friday, [bigint]'123456789012345678901234567890',
    ([byte[]](0, 1, 255)), ([char[]]'abc'), (, @()), (, @(1, 'two', $null)), (, ([int[]](1, 2))), @{ One = 1; }, ([ordered]@{ b = 1; a = @{ c = 2 } }),
    [pscustomobject]@{ A = 1; B = [pscustomobject]@{ C = 'x' } }, { Get-Date }, ([xml]'<a b="c">d</a>'),
    ([System.Collections.Generic.List[string]]('a', 'b')), ([System.Collections.Queue]::new(@(1, 2))), ([System.Collections.Stack]::new(@(1, 2))),
    [regex]'a+', [System.Net.IPAddress]'10.0.0.1', [System.Globalization.CultureInfo]::InvariantCulture, [semver]'1.2.3-a'
)
$count = 0
foreach ($value in $values) {
    $here = [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize($value, 1))
    $here = [System.Management.Automation.PSSerializer]::Serialize($here, 1)
    $there = Invoke-Command -Session $session -ScriptBlock { param($value) [System.Management.Automation.PSSerializer]::Serialize($value, 1) } -ArgumentList (, $value)
    $back = Invoke-Command -Session $session -ScriptBlock { param($value) , $value } -ArgumentList (, $value)
    if ($here -cne $there) { "to the endpoint: $value`n$here`n$there" }
    $is_one = $value -is [string] -or ($value -isnot [System.Collections.IEnumerable] -and $value -isnot [pscustomobject])
    if ($is_one -and "$back" -cne "$($here | ForEach-Object { [System.Management.Automation.PSSerializer]::Deserialize($_) })") { "and back: $value is $back" }
    $count++
}
$count -eq $values.Count"#,
    );
    assert_eq!(lines, ["True"], "{}", lines.join("\n"));
    empty(&world);
}

#[test]
fn endpoint_prompts_are_shown_and_answered() {
    let Some(world) = World::real(restricted, "") else { return };
    let mut terminal = work(&world);
    terminal.line("Read-FrontAnswers");
    terminal.wait_for_text("Your name:");
    terminal.line("Özgür");
    terminal.wait_for_text("Pin:");
    terminal.line("s3cret");
    terminal.wait_for_text("Which one?");
    terminal.wait_for_text("[R] Red");
    terminal.line("r");
    terminal.wait_for_text("Who are you?");
    terminal.wait_for_text("User:");
    terminal.line("ken");
    terminal.wait_for_text("Password for user ken:");
    terminal.line("P4ss");
    terminal.sees_line("<Özgür|6|0|ken|4>");
    let text = terminal.text();
    assert!(!text.contains("s3cret") && !text.contains("P4ss"), "nothing secret is shown:\n{text}");
    terminal.prompts(OURS, ">");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    empty(&world);
}

#[test]
fn ctrl_c_stops_only_the_endpoint_command() {
    let Some(world) = World::real(restricted, "") else { return };
    let terminal = work(&world);
    terminal.line("Wait-Front -Seconds 600");
    terminal.sees_line("at 3");
    terminal.press("\x03");
    terminal.prompts(OURS, ">");
    terminal.line("'<' + (Get-FrontSample).Whole + '>'");
    terminal.sees_line("<7>");
    assert_eq!(world.front.processes().len(), 1, "the session stays");
}

#[test]
fn a_user_enters_and_exits_the_endpoint() {
    let Some(world) = World::real(unrestricted, "") else { return };
    let mut terminal = work(&world);
    terminal.line("Enter-PSSession $session");
    // The endpoint's prompt with its initial folder.
    terminal.wait_until("the endpoint's prompt", |text| {
        text.trim_end().lines().last().is_some_and(|last| last.starts_with("PS /") && last.ends_with('>'))
    });
    terminal.line("'<' + $PSSenderInfo.GetType().Name + (20 + 3) + '>'");
    terminal.wait_for_text("23>");
    terminal.line("exit");
    terminal.prompts(OURS, ">");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    empty(&world);
}

#[test]
fn exit_in_the_session_removes_the_commands() {
    let Some(world) = World::real(unrestricted, "") else { return };
    let mut terminal = work(&world);
    terminal.line("Invoke-Command $session { exit 3 }");
    terminal.wait_until("the report of the closed session", |text| {
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("the session of 'work' was closed by a command in it")
    });
    terminal.line("'<' + @(Get-PSSession).Count + @(Get-Module lyncsh*).Count + '>'");
    terminal.sees_line("<00>");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    empty(&world);
}

#[test]
fn any_kill_ends_the_endpoint_process() {
    for victim in ["shell", "launcher", "agent"] {
        let Some(world) = World::real(restricted, "") else { return };
        let terminal = work(&world);
        terminal.line("\"<$PID>\"");
        terminal.wait_until("the PowerShell's id", |text| process(text).is_some());
        let id = match victim {
            "shell" => process(&terminal.text()).unwrap(),
            "launcher" => terminal.process().unwrap(),
            _ => world.agent("work").unwrap(),
        };
        terminal.line("Wait-Front -Seconds 600");
        terminal.sees_line("at 2");
        signal(id, Signal::KILL);
        empty(&world);
        drop(terminal);
    }
}

/// Returns the process id on a line of the screen.
fn process(text: &str) -> Option<u32> {
    text.lines().find_map(|line| line.trim_end().strip_prefix('<')?.strip_suffix('>')?.parse().ok())
}
