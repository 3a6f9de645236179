# Sets $ours to a prompt that puts the tenants before the existing prompt $theirs: $title while one of the modules in
# $loaded is imported, then the other attached profiles. It adds nothing if there are at most $few tenants.
if (-not $theirs) { $theirs = { 'PS>' } }
$ours = {
    # lyncsh: the user's prompt runs first, so that it finds $? as it was. PowerShell shows the first object of
    # the output of a prompt (Executor.cs).
    $text = @(& $theirs)
    $first = if ($text.Count) { $text[0] } else { "PS $($ExecutionContext.SessionState.Path.CurrentLocation)> " }
    $tenants = @(
        foreach ($one in Microsoft.PowerShell.Core\Get-Module) { if ($loaded -contains $one.Name) { $title; break } }
        foreach ($one in $global:lyncsh) { if ($loaded -notcontains "lyncsh-$($one.Profile)") { $one.Profile } }
    )
    if ($tenants.Count -gt $few) { "[$($tenants -join ', ')] $first" } else { $first }
}.GetNewClosure()
# Set-Item would load its module; `$global:function:prompt = ...` has no effect (seen).
$null = $ExecutionContext.InvokeProvider.Item.Set('function:global:prompt', $ours)
