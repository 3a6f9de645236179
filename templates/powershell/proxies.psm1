# Written by lyncsh {{ version }}: one function for each command of an endpoint, bound to the session that is passed
# in. Behaves as the module that Export-PSSession writes, with a small fraction of its text: what all functions
# share stands here once, and the parameters are declared when a function is used or looked at.
param($Session, [string[]]$Skip, [string[]]$SkipAliases)

# The user may have set None, with which PowerShell's own modules do not load.
$PSModuleAutoLoadingPreference = 'All'
# `Get-Help` asks the session by this name for the help of a command.
$script:Session = $Session
$script:invoke = $ExecutionContext.InvokeCommand.GetCmdlet('Invoke-Command')
# Invoke-Command sends this form as a command with parameters, not as script text: an endpoint without a language
# takes it (tried; ScriptBlockToPowerShellConverter).
$script:run = { param($name, $boundParams, $unboundParams) & $name @boundParams @unboundParams }
# Belongs to the function here. The others go to the endpoint; those in $script:both have an effect on both sides.
$script:mine = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorVariable', 'WarningVariable', 'InformationVariable', 'OutVariable', 'OutBuffer', 'PipelineVariable', '{{ input }}'), [System.StringComparer]::OrdinalIgnoreCase)
$script:both = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorAction', 'WarningAction', 'InformationAction'), [System.StringComparer]::OrdinalIgnoreCase)
$script:local = [System.Collections.Generic.HashSet[string]]::new([string[]]@('Verbose', 'Debug', 'ProgressAction', 'AsJob'), [System.StringComparer]::OrdinalIgnoreCase)

# A line for each function: its name and its parameters (src/shell/module/proxies.rs).
$script:table = @'

{% for function in functions %}
{{ function.declared }}
{% endfor %}

'@
$script:known = @{}
# The parameters of one function. Each call has a dictionary of its own: PowerShell puts the values into it.
$d = {
    param($Name)
    $fields = $script:known[$Name]
    if ($null -eq $fields) {
        $at = $script:table.IndexOf("`n$Name ", [System.StringComparison]::Ordinal) + $Name.Length + 2
        $line = $script:table.Substring($at, $script:table.IndexOf("`n", $at) - $at).TrimEnd()
        $fields = $script:known[$Name] = @(foreach ($field in $line.Split(' ')) {
            $parts = $field.Split(':')
            $type = [object]
            $completer = $null
            if ($parts.Length -gt 1 -and $parts[1].StartsWith('=')) {
                $completer = $ExecutionContext.SessionState.Module.NewBoundScriptBlock([scriptblock]::Create("&`$script:values '$($parts[1].Substring(1))' `$args[2]"))
            } elseif ($parts.Length -gt 1 -and $parts[1]) { $type = [type]$parts[1] }
            $aliases = if ($parts.Length -gt 2) { [System.Management.Automation.AliasAttribute]::new($parts[2].Split(',')) }
            , @($parts[0], $type, $aliases, $completer)
        })
    }
    $declared = [System.Management.Automation.RuntimeDefinedParameterDictionary]::new()
    $position = 0
    foreach ($field in $fields) {
        $name, $type, $aliases, $completer = $field
        $parameter = [System.Management.Automation.ParameterAttribute]::new()
        if ($name -eq '{{ input }}') { $parameter.ValueFromPipeline = $parameter.DontShow = $true }
        if ($type -ne [switch]) { $parameter.Position = $position++ }
        $attributes = [System.Collections.ObjectModel.Collection[System.Attribute]]::new()
        $attributes.Add($parameter)
        if ($aliases) { $attributes.Add($aliases) }
        if ($completer) { $attributes.Add([System.Management.Automation.ArgumentCompleterAttribute]::new($completer)) }
        $declared.Add($name, [System.Management.Automation.RuntimeDefinedParameter]::new($name, $type, $attributes))
    }
    $declared
}
# The arguments of Invoke-Command for one call.
$c = {
    param($Name, $Bound)
    if ($script:Session.State -ne 'Opened') {
        throw "lyncsh: the session of '$($script:Session.Name)' is $($script:Session.State); import it again"
    }
    $call = @{ Session = $script:Session; HideComputerName = $true; ScriptBlock = $script:run }
    $named = @{}
    $positional = [System.Collections.ArrayList]::new()
    # The endpoint binds positions: its metadata does not tell them.
    foreach ($key in $Bound.BoundPositionally) { $null = $positional.Add($Bound[$key]) }
    foreach ($key in $Bound.Keys) {
        if ($Bound.BoundPositionally -contains $key -or $script:mine.Contains($key)) { continue }
        if ($script:both.Contains($key)) { $call[$key] = $named[$key] = $Bound[$key] }
        elseif ($script:local.Contains($key)) { $call[$key] = $Bound[$key] }
        else { $named[$key] = $Bound[$key] }
    }
    $call.ArgumentList = $Name, $named, $positional
    $call
}
# The pipeline of one call, whose arguments are in $a.
$i = { & $script:invoke @a }
# The values of an enumeration that exists here, too.
$script:values = {
    param($Type, $Word)
    $known = $Type -as [type]
    if ($known -and $known.IsEnum) {
        $begin = "$Word".Trim("'", '"')
        foreach ($one in [System.Enum]::GetNames($known)) {
            if ($one.StartsWith($begin, [System.StringComparison]::OrdinalIgnoreCase)) { [System.Management.Automation.CompletionResult]::new($one) }
        }
    }
}

{#- The pipeline of each call is made in the function itself: made in a function that it calls, it would not heed the
    caller's $ErrorActionPreference; made in a block that it dot-sources, it would not heed `2>&1` (tried in 7.6.9). #}

{% for function in functions %}
function {{ function.name }}{[CmdletBinding()]param()dynamicparam{&$d {{ function.name|ps }}}begin{try{$a=&$c {{ function.name|ps }} $PSBoundParameters;$p=$i.GetSteppablePipeline();$p.Begin($PSCmdlet)}catch{throw}}process{try{$p.Process($_)}catch{throw}}end{try{$p.End()}catch{throw}}
# .ForwardHelpTargetName {{ function.name }}
# .ForwardHelpCategory {{ function.category }}
# .RemoteHelpRunspace Session
}
{% endfor %}
{% for alias in aliases %}
if ($SkipAliases -notcontains {{ alias.name|ps }}) { Microsoft.PowerShell.Utility\Set-Alias -Name {{ alias.name|ps }} -Value {{ alias.target|ps }} -Scope Script -Force }
{% endfor %}

# Each of them is a function of this module: one of the same name outside of it stays.
foreach ($one in $Skip) { Microsoft.PowerShell.Management\Remove-Item -LiteralPath "function:$one" }
Microsoft.PowerShell.Core\Export-ModuleMember -Function * -Alias *
