# Writes proxies of the endpoint's commands to the folder $fresh/proxies. $made becomes the names of the functions in
# them, $linked their aliases, each with the name of its function, and $offered the names that the endpoint lists.
$offered = $null
# The same question as the agent's (0.25 s for 613 commands, tried with Get-Command typed in).
$question = [System.Management.Automation.PowerShell]::Create()
try {
    $question.Runspace = $session.Runspace
    $null = $question.AddCommand('Get-Command').AddCommand('Select-Object').AddParameter('Property', 'Name')
    $offered = [string[]]@(@(foreach ($one in $question.Invoke()) { [string]$one.Name }) | Microsoft.PowerShell.Utility\Select-Object -Unique)
    [System.Array]::Sort($offered, [System.StringComparer]::Ordinal)
} catch {
    # An endpoint without these commands: what it offers is known when it has been exported.
    Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)"
} finally {
    $question.Dispose()
}

& $load
$wanted = $patterns
if ($offered) {
    $asked = @(foreach ($one in $offered) { foreach ($pattern in $patterns) { if ($one -like $pattern) { $one; break } } })
    # Not what every restricted endpoint has for its clients, unless it is asked for by name: as Export-PSSession.
    foreach ($one in $asked) { if ($restricted -contains $one -and $reserved.Contains((& $prefixed $one))) { $null = $refused.Add((& $prefixed $one)) } }
    $asked = @(foreach ($one in $asked) { if ($restricted -notcontains $one -or $patterns -contains $one) { $one } })
    if ($asked.Count) {
        $chosen = @(& $select $asked)
        $left = @(foreach ($one in $asked) { if ($chosen -notcontains $one) { $one } })
        # Patterns are quicker than names where nothing is left out. Restricted endpoints take up to 1000 names
        # (CommandMetadata.GetRestrictedGetCommand), and have none that are not plain.
        if ($left.Count -and ($chosen.Count -le 1000 -or @(foreach ($one in $left) { if (-not (& $isPlain $one)) { $one } }).Count)) { $wanted = $chosen }
    }
}

$made = $linked = @()
$source = "$fresh/proxies/proxies.psm1"
if ($wanted.Count) {
    # What may cover what is decided already.
    $export = @{ Session = $session; OutputModule = "$fresh/proxies"; CommandName = $wanted; AllowClobber = $true; WarningAction = 'SilentlyContinue'; ErrorAction = 'SilentlyContinue'; ErrorVariable = 'skipped' }
{% if formats %}
    try { $null = Microsoft.PowerShell.Utility\Export-PSSession @export -FormatTypeName $formats } catch {
        # A name of format data that matches nothing is an error that ends it (tried); commands without
        # -FormatTypeName come without format data (ImplicitRemotingCommands.cs).
        $null = Microsoft.PowerShell.Utility\Export-PSSession @export -Force
    }
{% else %}
    $null = Microsoft.PowerShell.Utility\Export-PSSession @export
{% endif %}
    # What the endpoint sent is not always what it was asked for: an alias brings the command that it stands for
    # under any name (AddRemoteCommandMetadata, ImplicitRemotingCommands.cs). Read before it is run.
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
            throw "the endpoint sent a command under a name that nobody asked for: $(& $listed @($one) 1)"
        }
    }
} else {
    $null = [System.IO.Directory]::CreateDirectory("$fresh/proxies")
    [System.IO.File]::WriteAllText($source, 'Export-ModuleMember')
}
