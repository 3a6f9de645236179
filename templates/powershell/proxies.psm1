# Written by lyncsh {{ version }}: one function for each command of an endpoint, bound to the session that is passed
# in. Behaves as the module that Export-PSSession writes, with a small fraction of its text: what all functions
# share stands here once.
param($Session, [string[]]$Skip, [string[]]$SkipAliases)

# The user may have set None, with which PowerShell's own modules do not load.
$PSModuleAutoLoadingPreference = 'All'
$script:Session = $Session
$script:invoke = $ExecutionContext.InvokeCommand.GetCmdlet('Invoke-Command')
# Invoke-Command sends this form as a command with parameters, not as script text: an endpoint without a language
# takes it (tried; ScriptBlockToPowerShellConverter).
$script:run = { param($name, $boundParams, $unboundParams) & $name @boundParams @unboundParams }
# Belongs to the function here. The others go to the endpoint; those in $script:both have an effect on both sides.
$script:mine = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorVariable', 'WarningVariable', 'InformationVariable', 'OutVariable', 'OutBuffer', 'PipelineVariable'), [System.StringComparer]::OrdinalIgnoreCase)
$script:both = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorAction', 'WarningAction', 'InformationAction'), [System.StringComparer]::OrdinalIgnoreCase)
$script:local = [System.Collections.Generic.HashSet[string]]::new([string[]]@('Verbose', 'Debug', 'ProgressAction', 'AsJob'), [System.StringComparer]::OrdinalIgnoreCase)

# The arguments of Invoke-Command for one call.
$script:call = {
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
        if ($Bound.BoundPositionally -contains $key) { continue }
        if ($script:both.Contains($key)) { $call[$key] = $named[$key] = $Bound[$key] }
        elseif ($script:local.Contains($key)) { $call[$key] = $Bound[$key] }
        elseif ($key -eq '{{ suffix }}' -or $script:mine.Contains($key)) { continue }
        # A name that PowerShell keeps for a variable of its own has the suffix.
        elseif ($key.EndsWith('{{ suffix }}')) { $named[$key.Substring(0, $key.Length - {{ suffix|length }})] = $Bound[$key] }
        else { $named[$key] = $Bound[$key] }
    }
    $call.ArgumentList = $Name, $named, $positional
    $call
}
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

{% macro declared(parameters) %}
{% for parameter in parameters %}{% if parameter.aliases %}[Alias({{ parameter.aliases }})]{% endif %}{% if parameter.completes %}[ArgumentCompleter({&$script:values {{ parameter.completes|ps }} $args[2]})]{% endif %}{{ parameter.constraint }}${{ parameter.name }},{% endfor %}
{% endmacro %}
{#- Parameters without a type come first, and then the one for pipeline input: an argument without a name is bound to
    the first of them as it is, and goes on to the endpoint without a name.
    The pipeline of each call is made in the function itself: made in a function that it calls, it would not heed the
    caller's $ErrorActionPreference; made in a block that it dot-sources, it would not heed `2>&1` (tried in 7.6.9). #}

{% for function in functions %}
function {{ function.name }}{[CmdletBinding()]param({{ declared(function.open) }}[Parameter(ValueFromPipeline,DontShow)]${{ suffix }},{{ declared(function.typed) }}[switch]$AsJob)begin{try{$a=&$script:call {{ function.name|ps }} $PSBoundParameters;$p={&$script:invoke @a}.GetSteppablePipeline($MyInvocation.CommandOrigin);$p.Begin($PSCmdlet)}catch{throw}}process{try{$p.Process($_)}catch{throw}}end{try{$p.End()}catch{throw}}
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
