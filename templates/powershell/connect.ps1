# Written by lyncsh {{ version }}, for the start of a shell
& {
    # The user's preferences do not apply in this block. Modules ignore the global strict mode
    # (ExecutionContext.IsStrictVersion).
    Set-StrictMode -Off
    $ErrorActionPreference = 'Stop'
    $WarningPreference = 'Continue'
    if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
        # This mode permits neither .NET methods nor assignments to $PSDefaultParameterValues, so the script cannot end
        # the shell; cmdlets work (seen). The module of Write-Warning may not load automatically.
        Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Utility
        Write-Warning -Message "lyncsh: this PowerShell runs in $($ExecutionContext.SessionState.LanguageMode) mode, in which no session can be opened; leave it with 'exit', and set shell = 'console' in the profile"
        return
    }
    $PSDefaultParameterValues = @{}
    # The prompt before the modules, so that their prompt is not wrapped again.
    $theirs = $function:prompt
    $loaded = @(
        foreach ($module in @(
{% for module in modules %}
            @{ Name = {{ module.name|ps }}; Script = {{ module.script|ps }} }
{% endfor %}
        )) {
            try {
                # A path is a pattern: [ in it would match nothing (ResolveRootedFilePath).
                # Module-qualified, because the previous module may have imported a command of this name.
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
        # With -NoExit, `exit` would only end the script; this ends the loop before its first prompt, and its number is
        # the exit code (DoRunspaceLoop and RunNewInputLoop, ConsoleHost.cs).
        $Host.SetShouldExit(1)
        return
    }
    $title = {{ title|ps }}
    $few = 0
{% include "powershell/prompt.ps1" %}
}
