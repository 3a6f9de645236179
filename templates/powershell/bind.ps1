# Has the proxies in the folder $kept/proxies as commands here. $made and $linked name what is in them.
$chosen = @(& $select $made)
# An alias is what its function is, or it could be any command of this PowerShell.
$links = @()
if ($linked.Count) { $links = @(& $select @(foreach ($pair in $linked) { if ($chosen -contains $pair[1]) { $pair[0] } })) }
if ($chosen.Count) {
    $bind = @{}
    if ($prefix) { $bind.Prefix = $prefix }
    if ($chosen.Count -lt $made.Count -or $links.Count -lt $linked.Count) {
        if ($compact) {
            # Import-Module compares each name with each pattern: the proxies leave out what is named to them.
            $skip = [System.Collections.Generic.HashSet[string]]::new([string[]]$made, [System.StringComparer]::OrdinalIgnoreCase)
            $skip.ExceptWith([string[]]$chosen)
            $bind.ArgumentList = $session, [string[]]@($skip), [string[]]@(foreach ($pair in $linked) { if ($links -notcontains $pair[0]) { $pair[0] } })
        } else {
            $bind.Function = $chosen
            $bind.Alias = $links
        }
    }
    . $importProxies
}
$functions = @(if ($prefix) { foreach ($one in $chosen) { & $prefixed $one } } else { $chosen })
$aliases = @(foreach ($one in $links) { & $prefixed $one })
