{% if windows %}
{# Text is run whatever the execution policy is, a script is not. Where nobody has set one, Windows PowerShell has
   Restricted, which this replaces for its process alone; what somebody has set stays, and is said
   (SecuritySupport.cs, about_Execution_Policies; docs/powershell.md). #}
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
{# As with -File: `exit N` ends with N, a script that can't be read with 1, and what a program in it ended with
   does not count. After a script, `$?` is false in the first two cases only (7.6.9). #}
$global:LASTEXITCODE = 0
& {{ script|ps }} {{ arguments }}
if ($?) { exit 0 } elseif ($LASTEXITCODE) { exit $LASTEXITCODE } else { exit 1 }
{% else %}
{{ text }}
{% endif %}
{% endif %}
