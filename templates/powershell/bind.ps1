# Has the proxies that Export-PSSession has written as commands here. $made and $linked name what is in them.
$chosen = @(& $select $made)
# An alias is what its function is, or it could be any command of this PowerShell.
$links = @()
if ($linked.Count) { $links = @(& $select @(foreach ($pair in $linked) { if ($chosen -contains $pair[1]) { $pair[0] } })) }
if ($chosen.Count) {
    # With the live session as its argument, no metadata travels. Without -Force, PowerShell takes a module that it has
    # had before from its own memory, with the session of that time (tried).
    $bind = @{ Name = (& $escape "$kept/proxies/proxies.psm1"); ArgumentList = $session; DisableNameChecking = $true; Force = $true }
    if ($prefix) { $bind.Prefix = $prefix }
    if ($chosen.Count -lt $made.Count -or $links.Count -lt $linked.Count) {
        $bind.Function = $chosen
        $bind.Alias = $links
    }
    Microsoft.PowerShell.Core\Import-Module @bind
    . $addViews
}
$functions = @(if ($prefix) { foreach ($one in $chosen) { & $prefixed $one } } else { $chosen })
$aliases = @(foreach ($one in $links) { & $prefixed $one })
