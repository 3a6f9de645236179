//! Comparison of lyncsh's proxies with those of Export-PSSession: the same lines must have the same effect.

use std::collections::BTreeMap;

use crate::program::lyncsh;
use crate::world::World;

const RUN: &str = include_str!("lines.ps1");

/// Lines with the same effect in both.
const LINES: &[&str] = &[
    "Get-CsTenant",
    "Get-CsOnlineUser -Identity kenmyer",
    "Get-CsOnlineUser kenmyer",
    "Get-CsOnlineUser -Ident kenmyer",
    "$all = @{ Identity = 'kenmyer' }; Get-CsOnlineUser @all",
    "'kenmyer', 'pilarackerman' | Get-CsOnlineUser",
    "[pscustomobject]@{ Identity = 'kenmyer' } | Get-CsOnlineUser",
    "Get-CsOnlineUser kenmyer | Get-CsOnlineUser",
    "Get-CsOnlineUser | ForEach-Object { (Get-CsOnlineUser $_.SipAddress).DisplayName }",
    "Get-CsOnlineUser | Select-Object -First 1",
    "Get-CsBig -Count 1000 | Select-Object -First 2",
    "Get-CsBig 2 5",
    "Get-CsBig '2'",
    "Get-CsOnlineUser nobody",
    "Get-CsOnlineUser nobody; 'next'",
    "Get-CsOnlineUser nobody -ErrorAction SilentlyContinue",
    "Get-CsOnlineUser nobody -ErrorAction Stop; 'next'",
    "Get-CsOnlineUser nobody -ErrorAction Ignore; \"$($error.Count -gt 0)\"",
    "$ErrorActionPreference = 'Stop'; Get-CsOnlineUser nobody; 'next'",
    "$all = Get-CsOnlineUser nobody 2>&1; @($all).Count",
    "$all = 'nobody', 'kenmyer' | Get-CsOnlineUser *>&1; @($all).Count",
    "Get-CsOnlineUser nobody 2>$null; 'next'",
    "Get-CsOnlineUser $null",
    "Get-CsOnlineUser ''",
    "$null | Get-CsOnlineUser",
    "@() | Get-CsOnlineUser",
    "Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -PassThru",
    "Set-CsUser -EnterpriseVoiceEnabled $false -Identity kenmyer -PassThru",
    "Get-CsOnlineUser | Set-CsUser -EnterpriseVoiceEnabled $true -PassThru",
    "Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -WhatIf",
    "Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -PassThru -Confirm:$false",
    "Test-CsStreams",
    "Test-CsStreams -Verbose",
    "Test-CsStreams -Debug",
    "Test-CsStreams -WarningAction SilentlyContinue",
    "Test-CsStreams -WarningAction Stop",
    "Test-CsStreams -InformationAction Continue",
    // Output and errors of a remote command are two streams without a defined order.
    "$ErrorActionPreference = 'Stop'; Test-CsStreams | Out-Null; 'next'",
    "Get-CsTenant | Select-Object DisplayName, Domains | Out-String",
    "Test-CsTerminating; 'next'",
    "Test-CsTerminating -ErrorAction Stop; 'next'",
    "$ErrorActionPreference = 'Stop'; Test-CsTerminating; 'next'",
    "try { Test-CsTerminating -ErrorAction Stop } catch { $_.FullyQualifiedErrorId } finally { 'last' }",
    "1, 2, 3 | Measure-CsInput",
    "1..300 | Measure-CsInput",
    "$job = Get-CsOnlineUser kenmyer -AsJob; $job.GetType().Name; $job | Wait-Job | Receive-Job; Remove-Job $job",
    "(Get-CsTenant).DisplayName + (Get-CsOnlineUser kenmyer).DisplayName",
    "(Get-Help Get-CsTenant).Name",
    "Get-Help Get-CsTenant -Full | Out-String",
    "Get-Help Set-CsUser | Out-String",
    "(Get-Command Set-CsUser).Parameters.Keys -contains 'EnterpriseVoiceEnabled'",
    "(TabExpansion2 'Set-CsUser -Ent').CompletionMatches.CompletionText",
    "(TabExpansion2 'Get-CsOnlineUser -Ident').CompletionMatches.ToolTip",
    "$here = 'kenmyer'; & { Get-CsOnlineUser $here }",
    "& { param($Name) Get-CsOnlineUser -Identity:$Name } kenmyer",
];

/// Lines that only lyncsh's proxies support, with the expected result: the exported ones leave these
/// variables empty, ignore the user's default values, and have no types, so a wrong value is an error of the
/// endpoint.
const ONLY_OURS: &[(&str, &str)] = &[
    (
        "Get-CsOnlineUser nobody -ErrorVariable kept 2>$null; \"$kept\"",
        "text Management object not found for identity \"nobody\".\nok: True\n",
    ),
    ("$null = Test-CsStreams -InformationVariable kept *>$null; \"$($kept.Count)\"", "text 2\nok: True\n"),
    ("try { Get-CsBig -Count nothing } catch { 'caught' }", "text caught\nok: True\n"),
    (
        "$PSDefaultParameterValues['Get-CsOnlineUser:Identity'] = 'kenmyer'; @(Get-CsOnlineUser).Count; $PSDefaultParameterValues.Clear()",
        "Int32 1\nok: True\n",
    ),
    ("Get-CsBig -Count 1 -OutVariable kept | Out-Null; $kept.Count", "Int32 1\nok: True\n"),
];

/// The same on a restricted endpoint of a real PowerShell; streams are compared in any order.
#[cfg(unix)]
const REAL: &[&str] = &[
    "Get-FrontSample | ForEach-Object { $_.Whole, $_.Large, $_.Price, $_.Day, $_.List, $_.Table.One }",
    "(Get-FrontSample).Day.GetType().Name",
    "Get-FrontSample | Select-Object Whole, Large | Out-String",
    "Write-FrontStreams",
    "Write-FrontStreams -Verbose",
    "Write-FrontStreams -WarningAction SilentlyContinue",
    "Write-FrontStreams 2>$null",
    "$all = Write-FrontStreams 2>&1; @($all).Count",
    "Write-FrontStreams -ErrorAction SilentlyContinue",
    "$ErrorActionPreference = 'Stop'; Write-FrontStreams 6>$null | Out-Null; 'next'",
    "try { Write-FrontStreams -ErrorAction Stop | Out-Null } catch { $_.FullyQualifiedErrorId }",
    "Get-FrontText 5",
    "Get-FrontText -Length 5",
    "Get-FrontText -Len 5",
    "$all = @{ Length = 3 }; Get-FrontText @all",
    "Get-FrontText 3 | Measure-FrontText",
    "'a', 'bb' | Measure-FrontText",
    "1..50 | Measure-FrontText",
    "Measure-FrontText x",
    "Read-FrontSecret (ConvertTo-SecureString -String 'secret' -AsPlainText -Force)",
    "Get-FrontSample | Select-Object -First 1 | ForEach-Object Whole",
    "(Get-FrontText 40000).Length",
    "Set-FrontLevel $false 5",
    "Set-FrontLevel -Level 7 $true",
    "Set-FrontMix 1 2.5 name '2021-01-01'",
    "Set-FrontMix 1 -Rate 2.5 name",
    "Set-FrontMix 1 2 name 2021-01-01 -ErrorAction SilentlyContinue",
    "Get-FrontSimple 1 2",
    "Get-FrontSimple 1 2 3 (4, 5)",
    "Get-FrontSimple -Y 1 2",
    "Get-FrontRest a b c",
    "Get-FrontRest a",
    "Get-FrontRest a (1, 2)",
    "Get-FrontRest a b (1, 2)",
    "Get-FrontNames -Verb Get -Pipeline 5 -Out x -p -Progress 3",
    "Get-FrontNames 1 2 3 -p",
    "Get-FrontNames -Out x 1",
    "(Get-Command Get-FrontNames).Parameters.Keys -contains 'Verb'",
];

/// A function without [CmdletBinding()] accepts any parameter name; lyncsh's proxies only the listed ones.
#[cfg(unix)]
const UNKNOWN: &str = "Get-FrontText -Nothing 1; 'next'";

/// Such a function has no common parameters: exported proxies pass them on as arguments, lyncsh's do not.
#[cfg(unix)]
const COMMON: &str = "Get-FrontSimple 1 2 -ErrorAction SilentlyContinue";

fn run(world: &World, start: &str, lines: &[&str]) -> BTreeMap<String, String> {
    let quoted: Vec<_> = lines.iter().map(|line| format!("'{}'", line.replace('\'', "''"))).collect();
    let output = world.output(&format!("{start}\n$lines = @(\n{}\n)\n{RUN}", quoted.join("\n")));
    let out = output.out;
    let err = &output.err;
    assert!(output.code == Some(0), "{out}\n{err}");
    let all: BTreeMap<_, _> = out
        .split("## ")
        .filter_map(|part| part.split_once('\n'))
        .map(|(line, seen)| (line.to_owned(), seen.to_owned()))
        .collect();
    assert_eq!(all.len(), lines.len(), "{out}\n{err}");
    all
}

/// Returns the results of lines with lyncsh's proxies and with those of Export-PSSession for a pattern.
fn both(world: &World, pattern: &str, lines: &[&str]) -> [BTreeMap<String, String>; 2] {
    let ours = run(world, &world.import("work"), lines);
    let exported = format!(
        "$socket = & '{}' attach work --socket
         $link = [System.Management.Automation.Runspaces.NamedPipeConnectionInfo]::new($socket, 60000)
         $types = [System.Management.Automation.Runspaces.TypeTable]::LoadDefaultTypeFiles()
         $runspace = [runspacefactory]::CreateRunspace($link, $Host, $types)
         $runspace.Open()
         $session = & {{ [CmdletBinding()] param($Runspace)
             [System.Management.Automation.Runspaces.PSSession]::Create($Runspace, 'work', $PSCmdlet) }} $runspace
         $null = Export-PSSession -Session $session -CommandName {pattern} -OutputModule '{}' -AllowClobber -Force
         Import-Module '{1}/exported.psm1' -ArgumentList $session -DisableNameChecking",
        lyncsh().display(),
        world.temp.path().join("exported").display(),
    );
    [ours, run(world, &exported, lines)]
}

/// Returns the lines with different results.
fn differences([ours, theirs]: &[BTreeMap<String, String>; 2], lines: &[&str]) -> Vec<String> {
    let differ = lines.iter().filter(|line| ours.get(**line) != theirs.get(**line));
    let seen = |of: &BTreeMap<String, String>, line: &str| of.get(line).cloned().unwrap_or_default();
    differ
        .map(|line| format!("## {line}\nexported:\n{}lyncsh's:\n{}", seen(theirs, line), seen(ours, line)))
        .collect()
}

#[test]
fn lyncsh_proxies_behave_like_exported_proxies() {
    let Some(world) = World::start("") else { return };
    let lines: Vec<_> = LINES.iter().copied().chain(ONLY_OURS.iter().map(|(line, _)| *line)).collect();
    let seen = both(&world, "*-Cs*", &lines);
    let differ = differences(&seen, LINES);
    assert!(differ.is_empty(), "{} of {} lines:\n{}", differ.len(), LINES.len(), differ.join("\n"));
    let [ours, theirs] = seen;
    for (line, wanted) in ONLY_OURS {
        assert!(ours[*line].starts_with(wanted), "{line}: {}", ours[*line]);
        assert_ne!(ours[*line], theirs[*line], "{line}");
    }
}

#[cfg(unix)]
#[test]
fn lyncsh_proxies_match_on_a_real_endpoint() {
    let Some(world) = World::real(crate::real::restricted, "") else { return };
    let lines: Vec<_> = REAL.iter().copied().chain([UNKNOWN, COMMON]).collect();
    let seen = both(&world, "*-Front*", &lines).map(|all| {
        let sorted = all.into_iter().map(|(line, seen)| {
            // Host output may be at any position.
            let is_host = |part: &&str| {
                part.contains("WARNING: ") || part.contains("VERBOSE: ") || *part == "information"
            };
            let mut parts: Vec<_> = seen.lines().filter(|part| !is_host(part)).collect();
            parts.sort_unstable();
            (line, format!("{}\n", parts.join("\n")))
        });
        sorted.collect::<BTreeMap<_, _>>()
    });
    let differ = differences(&seen, REAL);
    assert!(differ.is_empty(), "{} of {} lines:\n{}", differ.len(), REAL.len(), differ.join("\n"));
    assert!(seen[0]["Get-FrontText 5"].contains("text xxxxx"), "{:?}", seen[0]);
    assert!(seen[0][UNKNOWN].contains("NamedParameterNotFound"), "{}", seen[0][UNKNOWN]);
    assert!(seen[1][UNKNOWN].contains("text next"), "{}", seen[1][UNKNOWN]);
    assert!(seen[0][COMMON].contains("text 1|2|0|\n"), "{}", seen[0][COMMON]);
}
