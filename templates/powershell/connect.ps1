# Written by lyncsh {{ version }}, for the start of a shell
& {
    # The person's own preferences stay outside of this block. Modules don't heed the global strict mode by
    # themselves (ExecutionContext.IsStrictVersion).
    Set-StrictMode -Off
    $ErrorActionPreference = 'Stop'
    $WarningPreference = 'Continue'
    if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
        # No methods of .NET there, and no assignment to $PSDefaultParameterValues: not even the shell can be ended from
        # here; cmdlets work (tried).
        # Write-Warning's module may not load by itself.
        Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Utility
        Write-Warning -Message "lyncsh: this PowerShell runs in $($ExecutionContext.SessionState.LanguageMode) mode, in which no session can be made; leave it with 'exit', and set shell = 'console' in the profile"
        return
    }
    $PSDefaultParameterValues = @{}
    # As it was before the modules: theirs is not wrapped once more.
    $theirs = $function:prompt
    $loaded = @(
        foreach ($module in @(
{% for module in modules %}
            @{ Name = {{ module.name|ps }}; Script = {{ module.script|ps }} }
{% endfor %}
        )) {
            try {
                # A path is a pattern: [ in it would match nothing (ResolveRootedFilePath).
                # By its module's name: what the module before has imported may cover it.
                Microsoft.PowerShell.Core\Import-Module -Name ([System.Management.Automation.WildcardPattern]::Escape($module.Script)) -DisableNameChecking -Global
                $module.Name
            } catch {
                $text = $_.Exception.Message -replace '^lyncsh: '
                # The launcher has already printed the reason of this error of `lyncsh attach`.
                if ($text -ne "could not connect '$($module.Name -replace '^lyncsh-')'") { [Console]::Error.WriteLine("lyncsh: $text") }
            }
        }
    )
    if ($loaded.Count -eq 0) {
        # `exit` would leave the script only, because of -NoExit; this ends the loop before its first
        # prompt, and its number is the exit code (DoRunspaceLoop and RunNewInputLoop, ConsoleHost.cs).
        $Host.SetShouldExit(1)
        return
    }
    $title = {{ title|ps }}
    $few = 0
{% include "powershell/prompt.ps1" %}
}
