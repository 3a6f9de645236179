# Common start of both service modules. Not tested, because no tenant was available.
$ErrorActionPreference = 'Stop'
$PSDefaultParameterValues = @{}
{% include "powershell/autoload.ps1" %}
$name = {{ profile|ps }}
$user = {{ user|ps }}
if (-not (Get-Module -ListAvailable -Name {{ service|ps }})) {
    throw "lyncsh: PowerShell has no module {{ service }} for '$name'; install it: Install-Module -Name {{ service }} -Scope CurrentUser"
}
Import-Module -Name {{ service|ps }} -Global -DisableNameChecking
{% if sign_in != "device-code" %}
# The secret is sent only through the pipe between the program and this PowerShell, as ASCII JSON: PowerShell decodes a
# program's output with [Console]::OutputEncoding, which is an OEM code page on Windows.
$program = {{ program|ps }}
$arguments = {{ arguments|ps }}
$secret = & $program @arguments --secret | Select-Object -Last 1
if ($secret) { $secret = (ConvertFrom-Json -InputObject $secret).secret }
if (-not $secret) { throw "lyncsh: there is no {% if sign_in == "token" %}token{% else %}password{% endif %} for '$name'" }
{% endif %}
{% if sign_in == "credential" %}
$credential = [System.Management.Automation.PSCredential]::new($user, (ConvertTo-SecureString -String $secret -AsPlainText -Force))
{% endif %}
