//! The proxies that lyncsh writes beside those that Export-PSSession writes: the same lines must do the same.

use std::collections::BTreeMap;

use crate::world::{World, lyncsh};

const RUN: &str = include_str!("lines.ps1");

/// What both must do alike.
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
    // Output and errors of a remote command are two streams: which comes first is not certain.
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
    "$here = 'kenmyer'; & { Get-CsOnlineUser $here }",
    "& { param($Name) Get-CsOnlineUser -Identity:$Name } kenmyer",
];

/// What only lyncsh's do, with what is seen first: the exported ones leave these variables empty, and have no
/// types, so that a value that does not fit is an error of the endpoint's.
const ONLY_OURS: &[(&str, &str)] = &[
    (
        "Get-CsOnlineUser nobody -ErrorVariable kept 2>$null; \"$kept\"",
        "text Management object not found for identity \"nobody\".\nok: True\n",
    ),
    ("$null = Test-CsStreams -InformationVariable kept *>$null; \"$($kept.Count)\"", "text 2\nok: True\n"),
    ("try { Get-CsBig -Count nothing } catch { 'caught' }", "text caught\nok: True\n"),
    ("Get-CsBig -Count 1 -OutVariable kept | Out-Null; $kept.Count", "Int32 1\nok: True\n"),
];

fn lines() -> impl Iterator<Item = &'static str> {
    LINES.iter().copied().chain(ONLY_OURS.iter().map(|(line, _)| *line))
}

fn run(world: &World, start: &str) -> BTreeMap<String, String> {
    let quoted: Vec<_> = lines().map(|line| format!("'{}'", line.replace('\'', "''"))).collect();
    let output = world.output(&format!("{start}\n$lines = @(\n{}\n)\n{RUN}", quoted.join("\n")));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{err}");
    let all: BTreeMap<_, _> = out
        .split("## ")
        .filter_map(|part| part.split_once('\n'))
        .map(|(line, seen)| (line.to_owned(), seen.to_owned()))
        .collect();
    assert_eq!(all.len(), lines().count(), "{out}\n{err}");
    all
}

#[test]
fn lyncsh_s_proxies_do_what_the_exported_ones_do() {
    let Some(world) = World::start("") else { return };
    let ours = run(&world, &world.import("work"));
    let exported = format!(
        "$socket = & '{}' attach work --socket
         $link = [System.Management.Automation.Runspaces.NamedPipeConnectionInfo]::new($socket, 60000)
         $types = [System.Management.Automation.Runspaces.TypeTable]::LoadDefaultTypeFiles()
         $runspace = [runspacefactory]::CreateRunspace($link, $Host, $types)
         $runspace.Open()
         $session = & {{ [CmdletBinding()] param($Runspace)
             [System.Management.Automation.Runspaces.PSSession]::Create($Runspace, 'work', $PSCmdlet) }} $runspace
         $null = Export-PSSession -Session $session -CommandName *-Cs* -OutputModule '{}' -AllowClobber -Force
         Import-Module '{1}/exported.psm1' -ArgumentList $session -DisableNameChecking",
        lyncsh().display(),
        world.temp.path().join("exported").display(),
    );
    let theirs = run(&world, &exported);
    let mut differ = Vec::new();
    for (line, seen) in theirs.iter().filter(|(line, _)| LINES.contains(&line.as_str())) {
        if ours.get(line) != Some(seen) {
            differ.push(format!(
                "## {line}\nexported:\n{seen}lyncsh's:\n{}",
                ours.get(line).map_or("", String::as_str)
            ));
        }
    }
    assert!(differ.is_empty(), "{} of {} lines:\n{}", differ.len(), LINES.len(), differ.join("\n"));
    for (line, wanted) in ONLY_OURS {
        assert!(ours[*line].starts_with(wanted), "{line}: {}", ours[*line]);
        assert_ne!(ours[*line], theirs[*line], "{line}");
    }
}
