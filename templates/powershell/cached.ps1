# What Export-PSSession wrote at a first start. Kept for the endpoint, the account, what is imported, and the version
# of PowerShell.
$kept = "$cache-$($PSVersionTable.PSVersion)"

# What is there serves until there is another: `lyncsh refresh` marks it, and the agent asks the endpoint for
# the names of its commands when it has nothing else to do.
$there = [System.IO.File]::Exists("$kept/names")
$known = "$kept/commands"
$seen = "$cache.commands"
$stale = [System.IO.File]::Exists("$kept/expired")
if ($there -and -not $stale -and [System.IO.File]::Exists($known) -and [System.IO.File]::Exists($seen) -and
    [System.IO.File]::GetLastWriteTimeUtc($seen) -gt [System.IO.File]::GetLastWriteTimeUtc($known) -and
    [System.IO.File]::ReadAllText($seen) -cne [System.IO.File]::ReadAllText($known)) {
    $stale = $true
    [Console]::Error.WriteLine("lyncsh: the commands of '$name' have changed; importing them anew")
}

if ($stale -or -not $there) {
    # Export before anything is imported.
    # Beside, and moved into place: a start that is killed leaves no half of it.
    $fresh = "$kept.$PID.new"
    try {
        if ([System.IO.Directory]::Exists($fresh)) { [System.IO.Directory]::Delete($fresh, $true) }
        $null = [System.IO.Directory]::CreateDirectory($fresh)
        . $writeProxies
        if ($offered) { [System.IO.File]::WriteAllText("$fresh/commands", ($offered -join "`n") + "`n") }
        [System.IO.File]::WriteAllLines("$fresh/refused", [string[]]@($refused))
        [System.IO.File]::WriteAllLines("$fresh/hidden", [string[]]@($hidden))
        [System.IO.File]::WriteAllLines("$fresh/aliases", [string[]]@(foreach ($pair in $linked) { $pair[0] }))
        [System.IO.File]::WriteAllLines("$fresh/targets", [string[]]@(foreach ($pair in $linked) { "$($pair[0]) $($pair[1])" }))
        [System.IO.File]::WriteAllLines("$fresh/names", [string[]]@($made))
        if ($there) { [System.IO.Directory]::Move($kept, "$kept.$PID.old") }
        try { [System.IO.Directory]::Move($fresh, $kept) } catch {
            # Another start was quicker: its export is as good.
            if (-not [System.IO.File]::Exists("$kept/names")) {
                if ($there) { [System.IO.Directory]::Move("$kept.$PID.old", $kept) }
                throw
            }
        }
    } catch {
        # Another start reads what is there, or the endpoint would not: it serves once more.
        if (-not ($there -and [System.IO.File]::Exists("$kept/names"))) { throw }
        [Console]::Error.WriteLine("lyncsh: the commands of '$name' stay as they were: $($_.Exception.GetBaseException().Message)")
    } finally {
        foreach ($one in $fresh, "$kept.$PID.old") {
            # What another start still reads goes with a later one.
            try {
                if ([System.IO.Directory]::Exists($one)) { [System.IO.Directory]::Delete($one, $true) }
            } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" }
        }
    }
    # The manifest has their names from now on.
    $null = & $program @arguments --module
}

$made = [System.IO.File]::ReadAllLines("$kept/names")
$linked = @(foreach ($one in [System.IO.File]::ReadAllLines("$kept/targets")) { , $one.Split(' ') })
foreach ($one in [System.IO.File]::ReadAllLines("$kept/refused")) { $null = $refused.Add($one) }
. $bindProxies
if (-not $functions.Count) { foreach ($one in [System.IO.File]::ReadAllLines("$kept/hidden")) { $null = $hidden.Add($one) } }
