# Shared code of the proxies: $__d declares the parameters of a function, $__c builds the arguments of a call, $__i
# runs the call.
$invoke = $ExecutionContext.InvokeCommand.GetCmdlet('Invoke-Command')
# Invoke-Command sends this form as a command with parameters, not as script text: an endpoint without a language
# accepts it (seen; ScriptBlockToPowerShellConverter).
$run = { param($name, $boundParams, $unboundParams) & $name @boundParams @unboundParams }
# Parameters that only the local function uses, that both sides use, and that only Invoke-Command uses. All others are
# sent to the endpoint.
$onlyHere = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorVariable', 'WarningVariable', 'InformationVariable', 'OutVariable', 'OutBuffer', 'PipelineVariable', '{{ input }}', '{{ rest }}'), [System.StringComparer]::OrdinalIgnoreCase)
$everywhere = [System.Collections.Generic.HashSet[string]]::new([string[]]@('ErrorAction', 'WarningAction', 'InformationAction'), [System.StringComparer]::OrdinalIgnoreCase)
$ofTheCall = [System.Collections.Generic.HashSet[string]]::new([string[]]@('Verbose', 'Debug', 'ProgressAction', 'AsJob'), [System.StringComparer]::OrdinalIgnoreCase)

$declarations = @{}
# Commands without common parameters: functions of the endpoint without [CmdletBinding()].
$simple = [System.Collections.Generic.HashSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
# Declares the parameters of a function. Each call needs its own dictionary, since PowerShell stores the values in it.
$__d = {
    param($Name)
    $fields = $declarations[$Name]
    if ($null -eq $fields) {
        $at = $table.IndexOf("`n$Name ", [System.StringComparison]::Ordinal) + $Name.Length + 2
        $line = $table.Substring($at, $table.IndexOf("`n", $at) - $at).TrimEnd()
        $fields = $declarations[$Name] = @(foreach ($field in $line.Split(' ')) {
            if ($field -eq '!') { $null = $simple.Add($Name); continue }
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
        # The function declares this parameter itself.
        if ($name -eq '~') { $position++; continue }
        $parameter = [System.Management.Automation.ParameterAttribute]::new()
        if ($name -eq '{{ input }}') { $parameter.ValueFromPipeline = $parameter.DontShow = $true }
        elseif ($name -eq '{{ rest }}') { $parameter.ValueFromRemainingArguments = $parameter.DontShow = $true }
        # A conversion to the type of another position would change the value.
        if ($type -eq [object] -and -not $parameter.ValueFromRemainingArguments) { $parameter.Position = $position++ }
        $attributes = [System.Collections.ObjectModel.Collection[System.Attribute]]::new()
        $attributes.Add($parameter)
        if ($aliases) { $attributes.Add($aliases) }
        if ($completer) { $attributes.Add([System.Management.Automation.ArgumentCompleterAttribute]::new($completer)) }
        $declared.Add($name, [System.Management.Automation.RuntimeDefinedParameter]::new($name, $type, $attributes))
    }
    $declared
}
# Builds the arguments of Invoke-Command for one call.
$__c = {
    param($Name, $Cmdlet)
    if ($session.State -ne 'Opened') {
        # `throw` would not end the function if $ErrorActionPreference is SilentlyContinue.
        $gone = [System.InvalidOperationException]::new("lyncsh: the session of '$($session.Name)' is $($session.State); import it again")
        $Cmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($gone, 'SessionNotOpen', 'ConnectionError', $session))
    }
    $bound = $Cmdlet.MyInvocation.BoundParameters
    $call = @{ Session = $session; HideComputerName = $true; ScriptBlock = $run }
    $named = @{}
    $positional = [System.Collections.ArrayList]::new()
    # The endpoint binds positions, which its metadata does not contain.
    foreach ($key in $bound.BoundPositionally) { $null = $positional.Add($bound[$key]) }
    $rest = $bound['{{ rest }}']
    # A single array as the remaining arguments is not wrapped in a list (seen).
    if ($rest -is [System.Collections.Generic.List[object]]) {
        foreach ($one in $rest) {
            # PowerShell does not distinguish an unknown parameter name from a text like it.
            if ($one -is [string] -and $one -match '^-(\p{L}\w*):?$') {
                $unknown = [System.Management.Automation.ParameterBindingException]::new("A parameter cannot be found that matches parameter name '$($Matches[1])'.")
                $Cmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($unknown, 'NamedParameterNotFound', 'InvalidArgument', $null))
            }
            $null = $positional.Add($one)
        }
    } elseif ($bound.ContainsKey('{{ rest }}')) { $null = $positional.Add($rest) }
    foreach ($key in $bound.Keys) {
        if ($bound.BoundPositionally -contains $key -or $onlyHere.Contains($key)) { continue }
        if ($everywhere.Contains($key)) {
            $call[$key] = $bound[$key]
            if (-not $simple.Contains($Name)) { $named[$key] = $bound[$key] }
        }
        elseif ($ofTheCall.Contains($key)) { $call[$key] = $bound[$key] }
        else { $named[$key] = $bound[$key] }
    }
    # `$PSDefaultParameterValues['*:Credential']` is not for the endpoint. A script block returns another object for
    # each call, which cannot be distinguished from a given value.
    foreach ($key in $named.Keys) {
        $value = $named[$key]
        if ($value -isnot [securestring] -and $value -isnot [pscredential]) { continue }
        $defaults = $Cmdlet.SessionState.PSVariable.GetValue('PSDefaultParameterValues')
        foreach ($pattern in $defaults.Keys) {
            $command, $parameter = "$pattern".Split(':', 2)
            if ($command -notmatch '[*?[]') { continue }
            $default = $defaults[$pattern]
            if ([object]::ReferenceEquals($default, $value) -or ($default -is [scriptblock] -and $key -like $parameter)) {
                $secret = [System.InvalidOperationException]::new("lyncsh: the default value '$pattern' would send a secret to the endpoint; to send it, use the name of the command instead of '$command'")
                $Cmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($secret, 'SecretByDefault', 'SecurityError', $pattern))
            }
        }
    }
    $call.ArgumentList = $Name, $named, $positional
    $call
}
# The pipeline of one call; $__a holds its arguments.
$__i = { & $invoke @__a }
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
