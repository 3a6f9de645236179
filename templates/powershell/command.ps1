{% if windows %}
{# Text is run whatever the execution policy is, a script is not. Where nobody has set one, Windows PowerShell has
   Restricted, which this replaces for its process alone; what somebody has set stays, and is said
   (SecuritySupport.cs, about_Execution_Policies; not tried). #}
try {
    if (-not (Get-ExecutionPolicy -List | Where-Object { $_.ExecutionPolicy -ne 'Undefined' })) {
        Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope Process -Force -ErrorAction Stop
    }
    . {{ connect|ps }}
} catch [System.Management.Automation.PSSecurityException] {
    [Console]::Error.WriteLine("lyncsh: the execution policy $(Get-ExecutionPolicy) keeps lyncsh's scripts out; start lyncsh with -- -ExecutionPolicy RemoteSigned at the end, or set shell = 'console' in the profile: $($_.Exception.Message)")
    $Host.SetShouldExit(1)
}
{% else %}
. {{ connect|ps }}
{% endif %}
{% if not prompt %}
{# With -Command, a script's own `exit` ends that script only (about_Language_Keywords). #}
if (-not (Microsoft.PowerShell.Core\Get-Module -Name 'lyncsh-*')) { exit 1 }
{% if script and stays %}
{# As with -File and -NoExit (DoRunspaceInitialization, ConsoleHost.cs): what the script defines stays. #}
. {{ script|ps }} {{ arguments }}
{% elif script %}
{# `exit` in the script sets it, and so does the last program that the script runs, which -File would not
   heed. Not tried. #}
$global:LASTEXITCODE = 0
& {{ script|ps }} {{ arguments }}
exit $LASTEXITCODE
{% else %}
{{ text }}
{% endif %}
{% endif %}
