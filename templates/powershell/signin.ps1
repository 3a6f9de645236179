# What both modules of a service begin with. Nothing below was tried: there was no tenant to try it with.
$ErrorActionPreference = 'Stop'
$PSDefaultParameterValues = @{}
{% include "powershell/autoload.ps1" %}
$name = {{ profile|ps }}
$user = {{ user|ps }}
if (-not (Get-Module -ListAvailable -Name {{ service|ps }})) {
    throw "lyncsh: PowerShell has no module {{ service }} for '$name'; this installs it: Install-Module -Name {{ service }} -Scope CurrentUser"
}
Import-Module -Name {{ service|ps }} -Global -DisableNameChecking
{% if sign_in != "device-code" %}
# The secret comes through the pipe between the program and this PowerShell, and is nowhere else: in JSON in
# ASCII, because a program's output is read as [Console]::OutputEncoding says, on Windows in an OEM code page.
$program = {{ program|ps }}
$arguments = {{ arguments|ps }}
$secret = & $program @arguments --secret | Select-Object -Last 1
if ($secret) { $secret = (ConvertFrom-Json -InputObject $secret).secret }
if (-not $secret) { throw "lyncsh: there is no {% if sign_in == "token" %}token{% else %}password{% endif %} for '$name'" }
{% endif %}
{% if sign_in == "credential" %}
$credential = [System.Management.Automation.PSCredential]::new($user, (ConvertTo-SecureString -String $secret -AsPlainText -Force))
{% endif %}
