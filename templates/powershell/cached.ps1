# The cached proxies for the endpoint, the account and the import settings. If they are missing or out of date, lyncsh
# rewrites them first; the old proxies stay usable until then.
$kept = $answer.proxies
$keep = $true
if ($answer.ready -ne 'true') {
    $written = $null
    $line = & $program @arguments --proxies | Microsoft.PowerShell.Utility\Select-Object -Last 1
    if ($line) { $written = Microsoft.PowerShell.Utility\ConvertFrom-Json -InputObject $line }
    if ($null -eq $written) { throw "$program exited with code $LASTEXITCODE without a message" }
    if ($written.error) { throw $written.error }
    foreach ($one in $written.notes) { [Console]::Error.WriteLine("lyncsh: $one") }
    $kept = $written.proxies
    $keep = $written.keep
}
try {
    $made = [System.IO.File]::ReadAllLines("$kept/names")
    $linked = @(foreach ($one in [System.IO.File]::ReadAllLines("$kept/targets")) { , $one.Split(' ') })
    foreach ($one in [System.IO.File]::ReadAllLines("$kept/refused")) { $null = $refused.Add($one) }
    # The commands of PowerShell's own modules are listed once and cached, so that the modules need not be loaded.
    $known = "$kept/here-$($PSVersionTable.PSVersion)"
    if (-not $clobber) {
        $builtin = $null
        # Another PowerShell may be writing the file.
        if ([System.IO.File]::Exists($known)) { try { $builtin = [System.IO.File]::ReadAllLines($known) } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" } }
        if ($null -eq $builtin) {
            $names = [System.Collections.Generic.HashSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
            # All modules of PowerShell 7, loaded or not. Windows PowerShell has too many: only the modules of every
            # PowerShell are loaded.
            $shipped = if ($PSVersionTable.PSEdition -eq 'Core') { Microsoft.PowerShell.Core\Get-Module -ListAvailable -Name ([System.IO.Directory]::GetDirectories("$PSHOME/Modules")) -ErrorAction Ignore } else { & $load; Microsoft.PowerShell.Core\Get-Module -Name Microsoft.PowerShell.* -All }
            foreach ($one in $shipped) { foreach ($command in $one.ExportedCommands.Keys) { $null = $names.Add($command) } }
            $builtin = [string[]]@(foreach ($one in $made) { $here = & $prefixed $one; if ($names.Contains($here)) { $here } })
            # Another process may be replacing the proxies.
            if ($keep) { try { [System.IO.File]::WriteAllLines("$known.$PID", $builtin); [System.IO.File]::Move("$known.$PID", $known) } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" } }
        }
    }
    . $choose
    $left = [System.Collections.Generic.HashSet[string]]::new([string[]]$made, [System.StringComparer]::OrdinalIgnoreCase)
    $left.ExceptWith([string[]]$chosen)
    $skip = @(foreach ($one in $left) { & $prefixed $one })
    $skipAliases = @(foreach ($pair in $linked) { if ($links -notcontains $pair[0]) { & $prefixed $pair[0] } })
    if ($chosen.Count) { . $bindProxies }
} finally {
    if (-not $keep) {
        try { [System.IO.Directory]::Delete($kept, $true) } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" }
    }
}
