# Common start of both service modules. Not verified, because no tenant was available.
$ErrorActionPreference = 'Stop'
$PSDefaultParameterValues = @{}
{% include "powershell/autoload.ps1" %}
$name = {{ profile|ps }}
$user = {{ user|ps }}
if (-not (Get-Module -ListAvailable -Name {{ service|ps }})) {
    throw "lyncsh: PowerShell has no module {{ service }} for '$name'; install it: Install-Module -Name {{ service }} -Scope CurrentUser"
}
Import-Module -Name {{ service|ps }} -Global -DisableNameChecking
{% if has_secret %}
# The secret is sent only through the pipe between the program and this PowerShell, as ASCII JSON: PowerShell decodes a
# program's output with [Console]::OutputEncoding, which is an OEM code page on Windows.
$program = {{ program|ps }}
$arguments = {{ arguments|ps }}
$secret = & $program @arguments --secret | Select-Object -Last 1
if ($secret) { $secret = (ConvertFrom-Json -InputObject $secret).secret }
if (-not $secret) { throw "lyncsh: there is no {% if sign_in == "token" %}token{% elif sign_in == "certificate" %}passphrase{% else %}password{% endif %} for '$name'" }
{% endif %}
{% if sign_in == "certificate" %}
{% if pem %}
# PEM files need PowerShell 7. The key of a certificate from PEM files is not usable for every caller on Windows, unlike
# the key of the same certificate as PKCS#12.
{% if has_secret %}
$certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::CreateFromEncryptedPemFile({{ certificate|ps }}, $secret, {{ key|ps }})
{% else %}
$certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::CreateFromPemFile({{ certificate|ps }}, {{ key|ps }})
{% endif %}
$certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new($certificate.Export([System.Security.Cryptography.X509Certificates.X509ContentType]::Pkcs12))
{% else %}
$certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new({{ certificate|ps }}, {% if has_secret %}$secret{% else %}''{% endif %})
{% endif %}
{% endif %}
{% if sign_in == "credential" %}
$credential = [System.Management.Automation.PSCredential]::new($user, (ConvertTo-SecureString -String $secret -AsPlainText -Force))
{% endif %}
