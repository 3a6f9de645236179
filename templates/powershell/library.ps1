# Written by lyncsh {{ version }}: parts of the module that an import from the cache usually does not need.

$patterns = {% if commands %}{{ commands|ps }}{% else %}@('*'){% endif %}

$formats = {{ formats|ps }}
# Adds a prefix like Import-Module -Prefix (AddPrefixToCommandName).
$prefixed = {
    param($Name)
    if (-not $prefix) { $Name }
    elseif ($Name -match '^([^-]+)-(.+)$') { "$($Matches[1])-$prefix$($Matches[2])" }
    else { "$prefix$Name" }
}
# Imported commands must not replace existing ones. PowerShell only checks loaded modules (ExistingCommands,
# ImplicitRemotingCommands.cs): an endpoint with all of PowerShell's commands would replace Get-Item, for example.
$load = { Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Management, Microsoft.PowerShell.Security, Microsoft.PowerShell.Utility -Global -ErrorAction Ignore }

{% include "powershell/names.ps1" %}

# These scripts run in the module's scope.

# Selects the functions in $made and the aliases in $linked (each with the name of its function) for the import:
# $chosen and $links have their names on the endpoint, $functions and $aliases their local names.
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
        # 5.1 finds the pipe of a process by the process id, and the agent also listens there (seen in 7.6.5, not in
        # 5.1).
        $link = New-Object -TypeName System.Management.Automation.Runspaces.NamedPipeConnectionInfo -ArgumentList ([int]$answer.agent)
        $runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($link, $Host, $types)
        $runspace.Open()
        # 5.1 has no Create method: this is the constructor that New-PSSession uses (seen in 7.6.5, not in 5.1).
        $made = [System.Management.Automation.Runspaces.PSSession].GetConstructors('NonPublic,Instance') | Where-Object { $_.GetParameters().Count -eq 1 }
        $session = $made.Invoke(@($runspace))
    } catch {
        # Another build or a policy prevents the use of the agent's session.
        if ($runspace) { $runspace.Dispose() }
        $Host.UI.WriteWarningLine("lyncsh: cannot attach to the agent of '$name', opening a standalone session: $($_.Exception.GetBaseException().Message)")
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
    # Items that PowerShell skips, such as a dangling alias, are non-terminating errors (ImplicitRemotingCommands.cs).
    $skipped = @()
{% if attach == "true" %}
    # The folder is not known if the agent no longer knows the endpoint.
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
