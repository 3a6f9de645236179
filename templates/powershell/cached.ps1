# What Export-PSSession wrote at a first start, with the live session as its argument: no metadata travels
# (tried). Kept for the endpoint, the account, what is imported, and the version of PowerShell.
$kept = "$cache-$($PSVersionTable.PSVersion)"
$escape = { param($Path) [System.Management.Automation.WildcardPattern]::Escape($Path) }

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
    # Export before anything is imported: Export-PSSession skips commands that exist here already (tried).
    # Beside, and moved into place: a start that is killed leaves no half of it.
    $fresh = "$kept.$PID.new"
    try {
        if ([System.IO.Directory]::Exists($fresh)) { [System.IO.Directory]::Delete($fresh, $true) }
        $null = [System.IO.Directory]::CreateDirectory($fresh)

        # The same question as the agent's (0.25 s for 613 commands, tried with Get-Command typed in).
        $question = [System.Management.Automation.PowerShell]::Create()
        try {
            $question.Runspace = $session.Runspace
            $null = $question.AddCommand('Get-Command').AddCommand('Select-Object').AddParameter('Property', 'Name')
            $offered = [string[]]@(@(foreach ($one in $question.Invoke()) { [string]$one.Name }) | Microsoft.PowerShell.Utility\Select-Object -Unique)
            [System.Array]::Sort($offered, [System.StringComparer]::Ordinal)
            [System.IO.File]::WriteAllText("$fresh/commands", ($offered -join "`n") + "`n")
        } catch {
            # An endpoint without these commands: what it offers is not compared.
            Write-Verbose -Message "lyncsh: $($_.Exception.Message)"
        } finally {
            $question.Dispose()
        }

        & $load
        $export = @{ Session = $session; OutputModule = "$fresh/proxies"; CommandName = $patterns; WarningAction = 'SilentlyContinue'; ErrorAction = 'SilentlyContinue'; ErrorVariable = 'skipped' }
        # With a prefix nothing here is covered, and Export-PSSession knows of no prefix.
        if ({{ allow_clobber|ps }} -or $prefix) { $export.AllowClobber = $true }
{% if formats %}
        try { $null = Export-PSSession @export -FormatTypeName $formats } catch {
            # A name of format data that matches nothing is an error that ends it (tried); commands without
            # -FormatTypeName come without format data (ImplicitRemotingCommands.cs).
            $null = Export-PSSession @export -Force
        }
{% else %}
        $null = Export-PSSession @export
{% endif %}
        $probe = Microsoft.PowerShell.Core\Import-Module -Name (& $escape "$fresh/proxies/proxies.psm1") -ArgumentList $session -DisableNameChecking -PassThru
        [System.IO.File]::WriteAllLines("$fresh/aliases", [string[]]@($probe.ExportedAliases.Keys))
        [System.IO.File]::WriteAllLines("$fresh/names", [string[]]@($probe.ExportedFunctions.Keys))
        # By its module's name: what was imported may cover it.
        Microsoft.PowerShell.Core\Remove-Module -ModuleInfo $probe
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
            } catch { Write-Verbose -Message "lyncsh: $($_.Exception.Message)" }
        }
    }
    # The manifest has their names from now on.
    $null = & $program @arguments --module
}

$bind = @{ Name = (& $escape "$kept/proxies/proxies.psm1"); ArgumentList = $session; DisableNameChecking = $true }
if ($prefix) { $bind.Prefix = $prefix }
Microsoft.PowerShell.Core\Import-Module @bind
# After PowerShell's own, as Import-PSSession's: columns that are script are empty in these (FormatXmlWriter), and
# before them they would stand for the local ones of the same types. -PrependPath was tried, this was not.
$views = "$kept/proxies/proxies.format.ps1xml"
if ([System.IO.File]::Exists($views)) { Microsoft.PowerShell.Utility\Update-FormatData -AppendPath (& $escape $views) -ErrorAction SilentlyContinue }
$functions = @(foreach ($one in [System.IO.File]::ReadAllLines("$kept/names")) { & $prefixed $one })
$aliases = @(foreach ($one in [System.IO.File]::ReadAllLines("$kept/aliases")) { & $prefixed $one })
