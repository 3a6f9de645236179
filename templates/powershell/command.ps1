{% if windows %}
{# The execution policy applies to scripts, not to text. The default policy of Windows PowerShell is Restricted, which
   this replaces for its process only; a policy that is set stays, and is reported (SecuritySupport.cs,
   about_Execution_Policies; docs/powershell.md). #}
try {
    if (-not (Get-ExecutionPolicy -List | Where-Object { $_.ExecutionPolicy -ne 'Undefined' })) {
        Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope Process -Force -ErrorAction Stop
    }
    . {{ connect|ps }}
} catch [System.Management.Automation.PSSecurityException] {
    [Console]::Error.WriteLine("lyncsh: the execution policy $(Get-ExecutionPolicy) does not permit lyncsh's scripts; start lyncsh with -- -ExecutionPolicy RemoteSigned at the end, or set shell = 'console' in the profile: $($_.Exception.Message)")
    $Host.SetShouldExit(1)
}
{% else %}
. {{ connect|ps }}
{% endif %}
{% if not prompt %}
{# With -Command, `exit` in a script only ends that script (about_Language_Keywords). #}
if (-not (Microsoft.PowerShell.Core\Get-Module -Name 'lyncsh-*')) { exit 1 }
{% if script and stays %}
{# As with -File and -NoExit (DoRunspaceInitialization, ConsoleHost.cs): the script's definitions stay. #}
. {{ script|ps }} {{ arguments }}
{% elif script %}
{# As with -File: `exit N` ends with N, a script that cannot be read with 1; the exit code of a program in it
   does not count. After a script, `$?` is false in the first two cases only (seen in 7.6.9). #}
$global:LASTEXITCODE = 0
& {{ script|ps }} {{ arguments }}
if ($?) { exit 0 } elseif ($LASTEXITCODE) { exit $LASTEXITCODE } else { exit 1 }
{% else %}
{{ text }}
{% endif %}
{% endif %}
