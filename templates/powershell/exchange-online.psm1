# Written by lyncsh {{ version }}. Signs in to Exchange Online with its module, and signs out.
{% include "powershell/signin.ps1" %}
$how = @{ ShowBanner = $false }
{% if prefix %}
$how.Prefix = {{ prefix|ps }}
{% endif %}
{% if sign_in == "device-code" %}
# The module supports this only in PowerShell 7.
$how.Device = $true
{% elif sign_in == "credential" %}
$how.Credential = $credential
{% else %}
$how.AccessToken = $secret
$how.UserPrincipalName = $user
{% endif %}
try {
    Connect-ExchangeOnline @how
} finally {
    $secret = $credential = $how = $null
}
$disconnect = { Disconnect-ExchangeOnline -Confirm:$false -ErrorAction Ignore }
{% include "powershell/signout.ps1" %}
