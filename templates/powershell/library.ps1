# Written by lyncsh {{ version }}: the parts of the module that an import from the cache usually does not need.

$patterns = {% if commands %}{{ commands|ps }}{% else %}@('*'){% endif %}

$formats = {{ formats|ps }}
# As Import-Module -Prefix names them (AddPrefixToCommandName).
$prefixed = {
    param($Name)
    if (-not $prefix) { $Name }
    elseif ($Name -match '^([^-]+)-(.+)$') { "$($Matches[1])-$prefix$($Matches[2])" }
    else { "$prefix$Name" }
}
# What is imported does not cover what is here already, where only loaded modules are looked at (ExistingCommands,
# ImplicitRemotingCommands.cs): an endpoint with all of PowerShell's commands would cover Get-Item and its kin.
$load = { Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Management, Microsoft.PowerShell.Security, Microsoft.PowerShell.Utility -Global -ErrorAction Ignore }

{% include "powershell/names.ps1" %}

# Each of these runs in the module's scope.

# From the functions in $made and the aliases in $linked (each with the name of its function), chooses those that are
# imported: by their names on the endpoint in $chosen and $links, by their names here in $functions and $aliases.
$choose = {
    $chosen = @(& $select $made)
    # An alias without its function could name any command of this PowerShell.
    $links = @()
    if ($linked.Count) { $links = @(& $select @(foreach ($pair in $linked) { if ($chosen -contains $pair[1]) { $pair[0] } })) }
    $functions = @(if ($prefix) { foreach ($one in $chosen) { & $prefixed $one } } else { $chosen })
    $aliases = @(foreach ($one in $links) { & $prefixed $one })
}
$makeSession = {
{% include "powershell/own.ps1" %}
}
{% if attach == "true" %}
$attachTo51 = {
    $runspace = $session = $null
    try {
        # 5.1 finds a process's own pipe by the process's id, and the agent listens there, too (tried in
        # 7.6.5, not in 5.1).
        $link = New-Object -TypeName System.Management.Automation.Runspaces.NamedPipeConnectionInfo -ArgumentList ([int]$answer.agent)
        $runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($link, $Host, $types)
        $runspace.Open()
        # 5.1 has no Create: the constructor that New-PSSession uses (tried in 7.6.5, not in 5.1).
        $made = [System.Management.Automation.Runspaces.PSSession].GetConstructors('NonPublic,Instance') | Where-Object { $_.GetParameters().Count -eq 1 }
        $session = $made.Invoke(@($runspace))
    } catch {
        # Another build, or a policy: the agent's session can't be had here.
        if ($runspace) { $runspace.Dispose() }
        $Host.UI.WriteWarningLine("lyncsh: this PowerShell can't attach to the agent of '$name', and makes a session of its own: $($_.Exception.GetBaseException().Message)")
    }
    if ($null -eq $session) {
        $own = $true
        . $makeSession
    }
}
{% endif %}
$writeProxies = {
{% include "powershell/export.ps1" %}
}
$bindExported = {
{% include "powershell/bind.ps1" %}
}
$importCommands = {
    # What PowerShell skips, such as an alias of nothing, is an error that need not end it (ImplicitRemotingCommands.cs).
    $skipped = @()
{% if attach == "true" %}
    # There is no folder where the agent does not know the endpoint any more.
    if ($own -or -not $answer.proxies) {
{% include "powershell/uncached.ps1" %}
    } else {
{% include "powershell/cached.ps1" %}
    }
{% else %}
{% include "powershell/uncached.ps1" %}
{% endif %}
    foreach ($one in $skipped) { [Console]::Error.WriteLine("lyncsh: $(& $listed @("$one") 1)") }
    & $report ($functions.Count + $aliases.Count)
}
