# Code that the proxies share: $d declares the parameters of a function, $c builds the arguments of a call, $i calls.
$invoke = $ExecutionContext.InvokeCommand.GetCmdlet('Invoke-Command')
# Invoke-Command sends this form as a command with parameters, not as script text: an endpoint without a language
# takes it (tried; ScriptBlockToPowerShellConverter).
$run = { param($name, $boundParams, $unboundParams) & $name @boundParams @unboundParams }
# Parameters that only the local function uses, that both sides use, and that only Invoke-Command uses. All others are
# sent to the endpoint.
$onlyHere = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorVariable', 'WarningVariable', 'InformationVariable', 'OutVariable', 'OutBuffer', 'PipelineVariable', '{{ input }}'), [System.StringComparer]::OrdinalIgnoreCase)
$everywhere = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorAction', 'WarningAction', 'InformationAction'), [System.StringComparer]::OrdinalIgnoreCase)
$ofTheCall = [System.Collections.Generic.HashSet[string]]::new([string[]]@('Verbose', 'Debug', 'ProgressAction', 'AsJob'), [System.StringComparer]::OrdinalIgnoreCase)

$declarations = @{}
# Declares the parameters of a function. Each call needs its own dictionary, since PowerShell stores the values in it.
$d = {
    param($Name)
    $fields = $declarations[$Name]
    if ($null -eq $fields) {
        $at = $table.IndexOf("`n$Name ", [System.StringComparison]::Ordinal) + $Name.Length + 2
        $line = $table.Substring($at, $table.IndexOf("`n", $at) - $at).TrimEnd()
        $fields = $declarations[$Name] = @(foreach ($field in $line.Split(' ')) {
            $parts = $field.Split(':')
            $type = [object]
            $completer = $null
            if ($parts.Length -gt 1 -and $parts[1].StartsWith('=')) {
                $completer = $ExecutionContext.SessionState.Module.NewBoundScriptBlock([scriptblock]::Create("&`$values '$($parts[1].Substring(1))' `$args[2]"))
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
# Builds the arguments of Invoke-Command for one call.
$c = {
    param($Name, $Cmdlet)
    if ($session.State -ne 'Opened') {
        # `throw` would not end the function where $ErrorActionPreference is SilentlyContinue.
        $gone = [System.InvalidOperationException]::new("lyncsh: the session of '$($session.Name)' is $($session.State); import it again")
        $Cmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($gone, 'SessionNotOpen', 'ConnectionError', $session))
    }
    $bound = $Cmdlet.MyInvocation.BoundParameters
    $call = @{ Session = $session; HideComputerName = $true; ScriptBlock = $run }
    $named = @{}
    $positional = [System.Collections.ArrayList]::new()
    # The endpoint binds positions: its metadata does not tell them.
    foreach ($key in $bound.BoundPositionally) { $null = $positional.Add($bound[$key]) }
    foreach ($key in $bound.Keys) {
        if ($bound.BoundPositionally -contains $key -or $onlyHere.Contains($key)) { continue }
        if ($everywhere.Contains($key)) { $call[$key] = $named[$key] = $bound[$key] }
        elseif ($ofTheCall.Contains($key)) { $call[$key] = $bound[$key] }
        else { $named[$key] = $bound[$key] }
    }
    $call.ArgumentList = $Name, $named, $positional
    $call
}
# The pipeline of one call; $a holds its arguments.
$i = { & $invoke @a }
# Completes the values of an enumeration that also exists in this PowerShell.
$values = {
    param($Type, $Word)
    $known = $Type -as [type]
    if ($known -and $known.IsEnum) {
        $begin = "$Word".Trim("'", '"')
        foreach ($one in [System.Enum]::GetNames($known)) {
            if ($one.StartsWith($begin, [System.StringComparison]::OrdinalIgnoreCase)) { [System.Management.Automation.CompletionResult]::new($one) }
        }
    }
}
