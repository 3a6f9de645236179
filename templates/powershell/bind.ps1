# Imports the proxies that Export-PSSession wrote.
. $choose
if ($chosen.Count) {
    # With the open session as its argument, no metadata is requested. Without -Force, PowerShell reuses a module that it
    # imported before, with the old session (seen).
    $bind = @{ Name = (& $escape "$kept/proxies/proxies.psm1"); ArgumentList = $session; DisableNameChecking = $true; Force = $true }
    if ($prefix) { $bind.Prefix = $prefix }
    if ($chosen.Count -lt $made.Count -or $links.Count -lt $linked.Count) {
        $bind.Function = $chosen
        $bind.Alias = $links
    }
    Microsoft.PowerShell.Core\Import-Module @bind
    . $addViews
}
