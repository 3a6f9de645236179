# $ours becomes a prompt that lists the tenants before the one that PowerShell or the user has, $theirs: $title, while
# one of the modules in $loaded is there, and the profiles that were attached besides; nothing where there are not
# more than $few.
if (-not $theirs) { $theirs = { 'PS>' } }
$ours = {
    # lyncsh: the user's prompt comes first, so that it finds $? as it was. PowerShell shows the first object of
    # what a prompt gives (Executor.cs).
    $text = @(& $theirs)
    $first = if ($text.Count) { $text[0] } else { "PS $($ExecutionContext.SessionState.Path.CurrentLocation)> " }
    $tenants = @(
        foreach ($one in Microsoft.PowerShell.Core\Get-Module) { if ($loaded -contains $one.Name) { $title; break } }
        foreach ($one in $global:lyncsh) { if ($loaded -notcontains "lyncsh-$($one.Profile)") { $one.Profile } }
    )
    if ($tenants.Count -gt $few) { "[$($tenants -join ', ')] $first" } else { $first }
}.GetNewClosure()
# Set-Item would load the module that it is in; `$global:function:prompt = ...` does nothing (tried).
$null = $ExecutionContext.InvokeProvider.Item.Set('function:global:prompt', $ours)
