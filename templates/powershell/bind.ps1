# Has the proxies in the folder $kept/proxies as commands here, with the live session as their argument: no metadata
# travels (tried). $made and $linked name what is in them.
$chosen = @(& $select $made)
# An alias is what its function is, or it could be any command of this PowerShell.
$links = @(& $select @(foreach ($pair in $linked) { if ($chosen -contains $pair[1]) { $pair[0] } }))
if ($chosen.Count) {
    # Without -Force, PowerShell takes a module that it has had before from its own memory, with the session of that
    # time (tried).
    $bind = @{ Name = (& $escape "$kept/proxies/proxies.psm1"); ArgumentList = $session; DisableNameChecking = $true; Force = $true }
    if ($prefix) { $bind.Prefix = $prefix }
    if ($chosen.Count -lt $made.Count -or $links.Count -lt $linked.Count) {
        $bind.Function = $chosen
        $bind.Alias = $links
    }
    Microsoft.PowerShell.Core\Import-Module @bind
    # After PowerShell's own, as Import-PSSession's: columns that are script are empty in these (FormatXmlWriter), and
    # before them they would stand for the local ones of the same types. -PrependPath was tried, this was not.
    $views = "$kept/proxies/proxies.format.ps1xml"
    if ([System.IO.File]::Exists($views)) { Microsoft.PowerShell.Utility\Update-FormatData -AppendPath (& $escape $views) -ErrorAction SilentlyContinue }
}
$functions = @(foreach ($one in $chosen) { & $prefixed $one })
$aliases = @(foreach ($one in $links) { & $prefixed $one })
