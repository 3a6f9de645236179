# Writes proxies of the endpoint's commands to the folder $fresh/proxies. Sets $made to the names of their functions,
# $linked to their aliases, each with the name of its function, and $offered to the names that the endpoint lists.
$offered = $null
# The same pipeline as the agent's (0.25 s for 613 commands, seen).
$question = [System.Management.Automation.PowerShell]::Create()
try {
    $question.Runspace = $session.Runspace
    $null = $question.AddCommand('Get-Command').AddCommand('Select-Object').AddParameter('Property', 'Name')
    $offered = [string[]]@(@(foreach ($one in $question.Invoke()) { [string]$one.Name }) | Microsoft.PowerShell.Utility\Select-Object -Unique)
    [System.Array]::Sort($offered, [System.StringComparer]::Ordinal)
} catch {
    # An endpoint without these commands: its names are known after the export.
    Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)"
} finally {
    $question.Dispose()
}

& $load
$wanted = $patterns
if ($offered) {
    $asked = @(foreach ($one in $offered) { foreach ($pattern in $patterns) { if ($one -like $pattern) { $one; break } } })
    # Like Export-PSSession, skips the commands of every restricted endpoint unless they are requested by name.
    foreach ($one in $asked) { if ($restricted -contains $one -and $reserved.Contains((& $prefixed $one))) { $null = $refused.Add((& $prefixed $one)) } }
    $asked = @(foreach ($one in $asked) { if ($restricted -notcontains $one -or $patterns -contains $one) { $one } })
    if ($asked.Count) {
        $chosen = @(& $select $asked)
        $left = @(foreach ($one in $asked) { if ($chosen -notcontains $one) { $one } })
        # Patterns are faster than names if nothing is left out. Restricted endpoints accept up to 1000 names
        # (CommandMetadata.GetRestrictedGetCommand), and all their names are plain.
        if ($left.Count -and ($chosen.Count -le 1000 -or @(foreach ($one in $left) { if (-not (& $isPlain $one)) { $one } }).Count)) { $wanted = $chosen }
    }
}

$made = $linked = @()
$source = "$fresh/proxies/proxies.psm1"
if ($wanted.Count) {
    # Name conflicts were resolved before.
    $export = @{ Session = $session; OutputModule = "$fresh/proxies"; CommandName = $wanted; AllowClobber = $true; WarningAction = 'SilentlyContinue'; ErrorAction = 'SilentlyContinue'; ErrorVariable = 'skipped' }
{% if formats %}
    try { $null = Microsoft.PowerShell.Utility\Export-PSSession @export -FormatTypeName $formats } catch {
        # A name of format data without a match is a terminating error (seen); without -FormatTypeName, there is no
        # format data (ImplicitRemotingCommands.cs).
        $null = Microsoft.PowerShell.Utility\Export-PSSession @export -Force
    }
{% else %}
    $null = Microsoft.PowerShell.Utility\Export-PSSession @export
{% endif %}
    # The endpoint may send commands that were not requested: an alias adds its command under any name
    # (AddRemoteCommandMetadata, ImplicitRemotingCommands.cs). Checked before the proxies are run.
    $tokens = $mistakes = $null
    $tree = [System.Management.Automation.Language.Parser]::ParseFile($source, [ref]$tokens, [ref]$mistakes)
    foreach ($statement in $tree.EndBlock.Statements) {
        $parts = @(foreach ($part in $statement.PipelineElements) { $part.CommandElements })
        switch ("$($parts[0])") {
            '$script:SetItem' { $made += $parts[1].Value -replace '^function:script:' }
            '$script:SetAlias' { $linked += , @($parts[2].Value, $parts[4].Value) }
        }
    }
    foreach ($one in $made + @(foreach ($pair in $linked) { $pair[0] })) {
        if (-not (& $isPlain $one) -or $one.IndexOf({{ helper|ps }}, [System.StringComparison]::OrdinalIgnoreCase) -ge 0) {
            throw "the endpoint sent a command with a name that was not requested: $(& $listed @($one) 1)"
        }
    }
} else {
    $null = [System.IO.Directory]::CreateDirectory("$fresh/proxies")
    [System.IO.File]::WriteAllText($source, 'Export-ModuleMember')
}
