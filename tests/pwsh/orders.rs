//! Every order of attach, refresh, removal and agent death in one PowerShell, with two profiles: commands
//! belong to the live session or are removed.

use crate::program::lyncsh;
use crate::world::World;

/// Runs every pair of actions after an attach, and attaches again. Prints a line for each wrong outcome, then
/// the number of pairs.
const ORDERS: &str = r#"
function Invoke-Lyncsh { & $program @args 2>&1 | ForEach-Object { "$_" } }
$things = [ordered]@{
    attach = { Invoke-Expression ((& $program attach work) -join "`n") }
    refresh = { $null = Invoke-Lyncsh refresh work }
    session = { if (Test-Path variable:global:session) { Remove-PSSession -Session $session } }
    module = { Remove-Module -Name lyncsh-work -Force -ErrorAction Ignore }
    kill = { if ($lyncsh.Agent) { Stop-Process -Id $lyncsh.Agent -Force -ErrorAction Ignore }; Wait-Lost }
    stop = { $null = Invoke-Lyncsh stop work; Wait-Lost }
}
# A command that starts while PowerShell's pipe breaks may hang in PowerShell itself, Invoke-Command as well
# (seen in PowerShell 7.6.9): this test only covers the steps after that.
function Wait-Lost {
    $until = [datetime]::UtcNow.AddSeconds(20)
    while (@(Get-PSSession | Where-Object State -eq 'Opened').Count -and [datetime]::UtcNow -lt $until) {
        Start-Sleep -Milliseconds 20
    }
}
# Returns the tenant's name, or '' if the command does not exist. Retries, because an event may be late.
function Get-State {
    $until = [datetime]::UtcNow.AddSeconds(20)
    do {
        if (-not (Get-Command -Name Get-CsTenant -ErrorAction Ignore)) { return '' }
        try {
            $name = (Get-CsTenant).DisplayName
            $user = (Get-CsOnlineUser -Identity kenmyer).DisplayName
            if ($name -eq 'Litware' -and $user) { return $name }
            $why = "<$name>"
        } catch { $why = "$_" }
        Start-Sleep -Milliseconds 100
    } until ([datetime]::UtcNow -gt $until)
    "dead: $why"
}
$tried = 0
foreach ($first in $things.Keys) {
    foreach ($second in $things.Keys) {
        . $things.attach
        foreach ($one in $first, $second) {
            try { . $things[$one] } catch { "$first, ${second}: $one failed: $_" }
            $state = Get-State
            if ($state -and $state -ne 'Litware') { "$first, ${second}: after $one $state" }
        }
        try { . $things.attach } catch { "$first, ${second}: attaching again failed: $_" }
        $state = Get-State
        if ($state -ne 'Litware') { "$first, ${second}: attached again: <$state>" }
        $sessions = @(Get-PSSession | Where-Object State -eq 'Opened').Count
        if ($sessions -ne 1) { "$first, ${second}: $sessions sessions" }
        $tried++
    }
}
"$tried tried"
"#;

#[test]
fn commands_follow_the_live_session_in_any_order() {
    let Some(world) = World::start("") else { return };
    let program = lyncsh();
    let output = world.output(&format!("$program = '{}'\n{ORDERS}", program.display()));
    let (out, err) = (&output.out, &output.err);
    // PowerShell also writes warnings there.
    let printed: Vec<_> =
        out.lines().filter(|line| !line.trim_start_matches('\u{1b}').contains("WARNING: ")).collect();
    assert_eq!(printed, ["36 tried"], "{out}\n{err}");
    world.wait_removed();
}

#[test]
fn ending_one_session_keeps_the_others_commands() {
    let Some(world) = World::start("") else { return };
    world.profile("other", "session = \"second\"\nprefix = \"Ot\"");
    let body = format!(
        r#"{}
{}
$work = $lyncsh | Where-Object Profile -eq 'work'
Stop-Process -Id $work.Agent -Force
while (Get-Command -Name Get-CsTenant -ErrorAction Ignore) {{ Start-Sleep -Milliseconds 50 }}
(Get-OtCsTenant).DisplayName
"$($lyncsh.Profile) $(@(Get-PSSession).Count)"
Invoke-Expression ((& '{}' attach work) -join "`n")
(Get-CsTenant).DisplayName
(Get-OtCsTenant).DisplayName
"$(@($lyncsh.Profile) -join ' ') $(@(Get-PSSession).Count)""#,
        world.import("work"),
        world.import("other"),
        lyncsh().display()
    );
    let output = world.output(&body);
    let (out, err) = (&output.out, &output.err);
    let lines: Vec<_> = out.lines().filter(|line| !line.starts_with("WARNING: ")).collect();
    assert_eq!(lines, ["Litware", "other 1", "Litware", "Litware", "other work 2"], "{out}\n{err}");
    world.wait_removed();
}
