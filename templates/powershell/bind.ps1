# Imports the proxies that Export-PSSession has written.
. $choose
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
