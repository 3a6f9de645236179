# Written by lyncsh {{ version }}. Binds this PowerShell to the session of a profile: attaches to its agent, and imports
# the endpoint's commands as functions. For Windows PowerShell 5.1 and PowerShell 7.4 or later: only syntax and cmdlets
# of 5.1. Statements marked "seen" were observed in PowerShell 7.6.5 or 7.6.9.

$name = {{ profile|ps }}
# Checked first, because even some of the assignments below fail in this mode (seen).
if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    throw "lyncsh: this PowerShell runs in $($ExecutionContext.SessionState.LanguageMode) mode, in which no session can be opened; use the console: set shell = ""console"" in the profile '$name'"
}

# The user's settings must not affect this module.
$ErrorActionPreference = 'Stop'
$PSDefaultParameterValues = @{}
$PSNativeCommandUseErrorActionPreference = $false
$WhatIfPreference = $false
$ConfirmPreference = 'None'
$WarningPreference = 'Continue'
$DebugPreference = 'SilentlyContinue'
# Running the program changes $LASTEXITCODE.
$lastExit = $global:LASTEXITCODE
{% include "powershell/autoload.ps1" %}

$program = {{ program|ps }}
$arguments = {{ arguments|ps }}
$clobber = {{ allow_clobber|ps }}
# The session's variable.
$variable = {{ session|ps }}
# lyncsh detects modules of other versions by this value (exports.rs).
$format = {{ format|ps }}
$restricted = [string[]]{{ restricted|ps }}
$prefix = {{ prefix|ps }}
$escape = { param($Path) [System.Management.Automation.WildcardPattern]::Escape($Path) }
$module = $ExecutionContext.SessionState.Module
# Parts that an import from the cache usually does not need, since parsing them takes 0.06 s (seen).
$library = { [scriptblock]::Create([System.IO.File]::ReadAllText("$PSScriptRoot/{{ library }}")) }
# Finds a cmdlet without loading Microsoft.PowerShell.Utility, which takes 0.04 s (seen).
$utility = { param($Type) $ExecutionContext.InvokeCommand.GetCmdletByTypeName("Microsoft.PowerShell.Commands.$Type, Microsoft.PowerShell.Commands.Utility") }
# The endpoint's views, after PowerShell's own views, like Import-PSSession.
$views = $null
$keep = $true
$addViews = {
    $views = "$kept/proxies/proxies.format.ps1xml"
    if ([System.IO.File]::Exists($views)) { & (& $utility UpdateFormatDataCommand) -AppendPath (& $escape $views) -ErrorAction SilentlyContinue }
    # PowerShell reads all files again for each module with views, and such an import fails if a file is missing. Then
    # these views are removed.
    if ($keep -eq $false) { & $forgetViews }
}
# Removes the views from the files that PowerShell reads. They stay in memory until it reads the files again.
$forgetViews = {
    $formats = [runspace]::DefaultRunspace.InitialSessionState.Formats
    for ($index = $formats.Count - 1; $index -ge 0; $index--) {
        if ($formats[$index].FileName -eq $views) { $formats.RemoveItem($index) }
    }
}
{% if attach == "true" %}

{% include "powershell/calls.ps1" %}

# Defines the proxies in the folder $kept as functions and aliases of this module. With a nested module, PowerShell
# would import each name twice (0.08 s for 605 names, seen).
$bindProxies = {
    . ([scriptblock]::Create([System.IO.File]::ReadAllText("$kept/proxies/proxies.ps1")))
    # A function of the same name outside this module stays.
    foreach ($one in $skip) { $ExecutionContext.InvokeProvider.Item.Remove("function:$one", $false) }
    foreach ($one in $skipAliases) { $ExecutionContext.InvokeProvider.Item.Remove("alias:$one", $false) }
    . $addViews
}
{% endif %}

# Whether the session is standalone instead of the agent's.
$own = {{ (attach != "true")|ps }}
$guard = $opening = $null
{% if attach == "true" %}
# Checked before the program is started, which would open a session in vain.
$version = $PSVersionTable.PSVersion
if ($version.Major -eq 6 -or ($version.Major -eq 7 -and $version.Minor -lt 4)) {
    throw "lyncsh: cannot attach to a session: expected PowerShell 7.4 or later, got $version; install a newer version (https://aka.ms/powershell), or set shell = 'console' in the profile '$name'"
}
# The session facts, from the launcher's file for this shell or from the program: lines of KEY=VALUE in ASCII, because
# the encoding of a program's output differs on Windows.
$given = "$env:{{ gate }}.$name"
$answer = @{}
$read = {
    param([string[]]$Lines)
    foreach ($line in $Lines) {
        $key, $value = $line.Split('=', 2)
        $answer[$key] = if ("$value".Contains('\')) { [regex]::Unescape($value) } else { $value }
    }
}
if ($env:{{ gate }} -and [System.IO.File]::Exists($given)) {
    & $read ([System.IO.File]::ReadAllLines($given))
    # Used once: a later import may find another session.
    [System.IO.File]::Delete($given)
}
# The agent may have ended meanwhile.
if (-not $answer.socket -or ($answer.socket.StartsWith('/') -and -not [System.IO.File]::Exists($answer.socket))) {
    $answer.Clear()
    & $read @(& $program @arguments --facts)
}
# Standard error is discarded while a module is loaded on first use (seen), so the exception has the message.
if ($answer.error) { throw "lyncsh: $($answer.error)" }
if (-not $answer.socket) { throw "lyncsh: no session for '$name': $program exited with code $LASTEXITCODE without a message" }
$cache = $answer.cache

$types = [System.Management.Automation.Runspaces.TypeTable]::LoadDefaultTypeFiles()
{% include "powershell/attach.ps1" %}
{% else %}
. (& $library)
. $makeSession
{% endif %}

$session.Name = $name

$imported = $false
try {
{% if attach == "true" %}
{% include "powershell/quick.ps1" %}
{% else %}
    . $importCommands
{% endif %}

# From here on, commands are module-qualified: with allow_clobber, the endpoint's commands may replace them.
# The session can end before this shell: then its commands are removed.
$null = $ExecutionContext.Events.SubscribeEvent($session.Runspace, 'StateChanged', $null, $module, {
    $info = $EventArgs.RunspaceStateInfo
    if ($info.State -eq 'Closed' -or $info.State -eq 'Broken') {
        # Skips a session that was removed meanwhile, or imported again.
        foreach ($one in @(Microsoft.PowerShell.Core\Get-Module -All)) {
            if (-not [object]::ReferenceEquals($one, $Event.MessageData)) { continue }
            $title = $one.Name -replace '^lyncsh-'
            if ($info.State -eq 'Broken') {
                $reason = if ($info.Reason) { ": $($info.Reason.Message)" } else { '' }
                $Host.UI.WriteWarningLine("lyncsh: the session of '$title' is gone$reason")
            } elseif ([runspace]::DefaultRunspace.RunspaceStateInfo.State -eq 'Opened' -and @(Microsoft.PowerShell.Core\Get-PSSession -InstanceId (& $one { $session }).InstanceId -ErrorAction Ignore).Count) {
                # Remove-PSSession would have removed it from the list; neither `exit` in Invoke-Command nor the end of
                # this PowerShell does (seen).
                $Host.UI.WriteWarningLine("lyncsh: the session of '$title' was closed by a command in it, such as ``exit`` in Invoke-Command; its commands were removed; open another session with ``lyncsh $title``")
            }
            Microsoft.PowerShell.Core\Remove-Module -ModuleInfo $one -Force -WhatIf:$false -Confirm:$false -ErrorAction Ignore
        }
    }
}, $true, $false)

# The session may have ended before the event was registered.
$state = $session.State
if ($state -ne 'Opened') {
    $reason = $session.Runspace.RunspaceStateInfo.Reason
    throw "lyncsh: the session of '$name' ended while its commands were imported$(if ($reason) { " ($($reason.Message))" } else { " (it is $state)" }); import it again"
}

# $lyncsh has one object for each session of this PowerShell.
$since = $null
if ($answer.connected) {
    $since = [datetime]::new(1970, 1, 1, 0, 0, 0, [System.DateTimeKind]::Utc).AddSeconds([double]$answer.connected).ToLocalTime()
}
$facts = [pscustomobject]@{
    Profile = $name
    User = $answer.user
    Endpoint = $answer.endpoint
    Agent = if ($answer.agent) { [int]$answer.agent }
    Connected = $since
    Session = $session
    Variable = $variable
    Commands = [string[]]@($functions + $aliases)
}
$others = @(foreach ($one in $global:lyncsh) { if ($one.Profile -ne $name) { $one } })
foreach ($one in $others) {
    $mine = [System.Collections.Generic.HashSet[string]]::new($facts.Commands, [System.StringComparer]::OrdinalIgnoreCase)
    $both = @(foreach ($command in $one.Commands) { if ($mine.Contains($command)) { $command } })
    if ($both.Count) {
        Microsoft.PowerShell.Utility\Write-Warning -Message "lyncsh: '$name' replaces these commands of '$($one.Profile)': $(& $listed $both 5). Set ``prefix`` in one of the two profiles to use both"
        # Permanent: PowerShell does not restore them when '$name' ends.
        $one.Commands = [string[]]@(foreach ($command in $one.Commands) { if (-not $mine.Contains($command)) { $command } })
    }
}
# With two tenants in one PowerShell, the prompt lists them. In a shell of lyncsh, it already does.
if ($others.Count -and "$function:prompt" -notlike '*# lyncsh: *') {
    $title = $null
    $loaded = @()
    $few = 1
    $theirs = $function:prompt
{% include "powershell/prompt.ps1" %}
}

{% if attach == "true" %}
# The agent detects the end of this PowerShell by the end of the stream. Remove-PSSession would delay `exit`.
if ($own) {
{% endif %}
# Removes a standalone session on `exit`: the event does not occur at any other end (seen). The action has neither
# this module's variables nor $Event.MessageData (seen), so it uses the global variable.
$null = $ExecutionContext.Events.SubscribeEvent($null, $null, 'PowerShell.Exiting', $null, {
    foreach ($one in $global:lyncsh) {
        if ($one.Session.State -eq 'Opened') { Microsoft.PowerShell.Core\Remove-PSSession -Session $one.Session -WhatIf:$false -Confirm:$false -ErrorAction Ignore }
    }
}, $true, $false)
{% if attach == "true" %}
}
{% endif %}

$module.OnRemove = {
    # Also a closed or broken session: Get-PSSession would still list it. An error must not prevent the removal.
    try {
        Microsoft.PowerShell.Core\Remove-PSSession -Session $session -WhatIf:$false -Confirm:$false -ErrorAction Ignore
    } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" }
    if ($views) {
        try {
            & $forgetViews
            & (& $utility UpdateFormatDataCommand) -WhatIf:$false -Confirm:$false -ErrorAction SilentlyContinue
        } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" }
    }
    # The end of its input ends the guard of a standalone session.
    if ($guard) { $guard.StandardInput.Close() }
    # Removes the variables, unless they have another value now.
    $held = Microsoft.PowerShell.Utility\Get-Variable -Name $variable -Scope Global -ErrorAction Ignore
    if ($held -and [object]::ReferenceEquals($held.Value, $session)) {
        Microsoft.PowerShell.Utility\Remove-Variable -Name $variable -Scope Global -WhatIf:$false -Confirm:$false -ErrorAction Ignore
    }
    $left = @(foreach ($one in $global:lyncsh) { if (-not [object]::ReferenceEquals($one.Session, $session)) { $one } })
    # Restores another session with the same variable, if any.
    if (-not $ExecutionContext.SessionState.PSVariable.Get("global:$variable")) {
        foreach ($one in $left) { if ($one.Variable -eq $variable) { $ExecutionContext.SessionState.PSVariable.Set("global:$variable", $one.Session) } }
    }
    if ($left.Count -gt 1) { $global:lyncsh = $left }
    elseif ($left.Count) { $global:lyncsh = $left[0] }
    else { Microsoft.PowerShell.Utility\Remove-Variable -Name lyncsh -Scope Global -WhatIf:$false -Confirm:$false -ErrorAction Ignore }
}.GetNewClosure()

# PowerShell compares each name with each pattern: all functions of this module are the endpoint's.
Microsoft.PowerShell.Core\Export-ModuleMember -Function * -Alias $aliases

$global:lyncsh = if ($others.Count) { $others + $facts } else { $facts }
$ExecutionContext.SessionState.PSVariable.Set("global:$variable", $session)
    $imported = $true
} catch {
    if ($_.Exception.Message.StartsWith('lyncsh: ')) { throw }
    if ($opening -and $opening.IsFaulted) { throw "lyncsh: cannot attach to the session of '$name': $($opening.Exception.GetBaseException().Message)" }
    # Damaged files would fail each import.
    $hint = if ($answer.ready -eq 'true') { "; rebuild them with ``lyncsh refresh $name``" } else { '' }
    throw "lyncsh: cannot import the commands of '$name': $($_.Exception.Message)$hint"
} finally {
    # Ctrl-C runs `finally`, but not `catch` (about_Try_Catch_Finally). The module does not load, so the session must be
    # closed here.
    if (-not $imported) {
        # Remove-PSSession would wait until the session is open, or for a minute.
        if ($opening -and -not $opening.IsCompleted) { $runspace.CloseAsync() }
        else { Microsoft.PowerShell.Core\Remove-PSSession -Session $session -WhatIf:$false -Confirm:$false -ErrorAction Ignore }
        if ($guard) { $guard.StandardInput.Close() }
    }
    $global:LASTEXITCODE = $lastExit
}

# The proxies use the caller's preferences, not those of this module.
foreach ($one in 'ErrorActionPreference', 'PSDefaultParameterValues', 'PSNativeCommandUseErrorActionPreference', 'WhatIfPreference', 'ConfirmPreference', 'WarningPreference', 'DebugPreference') { $ExecutionContext.SessionState.PSVariable.Remove("script:$one") }
