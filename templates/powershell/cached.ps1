# The proxies that lyncsh has written for the endpoint, the account and what is imported. Where they are missing or out
# of date it asks the endpoint first; what is there serves until others are in its place.
$kept = $answer.proxies
$keep = $true
if ($answer.ready -ne 'true') {
    $written = $null
    $line = & $program @arguments --proxies | Microsoft.PowerShell.Utility\Select-Object -Last 1
    if ($line) { $written = Microsoft.PowerShell.Utility\ConvertFrom-Json -InputObject $line }
    if ($null -eq $written) { throw "$program ended with $LASTEXITCODE and without a word" }
    if ($written.error) { throw $written.error }
    foreach ($one in $written.notes) { [Console]::Error.WriteLine("lyncsh: $one") }
    $kept = $written.proxies
    $keep = $written.keep
}
try {
    $made = [System.IO.File]::ReadAllLines("$kept/names")
    $linked = @(foreach ($one in [System.IO.File]::ReadAllLines("$kept/targets")) { , $one.Split(' ') })
    foreach ($one in [System.IO.File]::ReadAllLines("$kept/refused")) { $null = $refused.Add($one) }
    # What PowerShell's own modules have is found here once, and kept: they are not loaded for every import.
    $known = "$kept/here-$($PSVersionTable.PSVersion)"
    if (-not $clobber) {
        $builtin = $null
        # Another PowerShell may be writing it.
        if ([System.IO.File]::Exists($known)) { try { $builtin = [System.IO.File]::ReadAllLines($known) } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" } }
        if ($null -eq $builtin) {
            $names = [System.Collections.Generic.HashSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
            # All modules that come with PowerShell 7, loaded or not. Windows PowerShell has too many: those that every
            # PowerShell has are loaded instead.
            $shipped = if ($PSVersionTable.PSEdition -eq 'Core') { Microsoft.PowerShell.Core\Get-Module -ListAvailable -Name ([System.IO.Directory]::GetDirectories("$PSHOME/Modules")) -ErrorAction Ignore } else { & $load; Microsoft.PowerShell.Core\Get-Module -Name Microsoft.PowerShell.* -All }
            foreach ($one in $shipped) { foreach ($command in $one.ExportedCommands.Keys) { $null = $names.Add($command) } }
            $builtin = [string[]]@(foreach ($one in $made) { $here = & $prefixed $one; if ($names.Contains($here)) { $here } })
            # Others may be put in their place just now.
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
