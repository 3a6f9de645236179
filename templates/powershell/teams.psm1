# Written by lyncsh {{ version }}. Signs in to Microsoft Teams with its module, and signs out.
{% include "powershell/signin.ps1" %}
$how = @{}
{% if sign_in == "device-code" %}
$how.UseDeviceAuthentication = $true
{% elif sign_in == "credential" %}
$how.Credential = $credential
{% else %}
# The tokens of Microsoft Graph and Teams, in this order.
$how.AccessTokens = @($secret -split '[, ]+')
{% endif %}
try {
    Connect-MicrosoftTeams @how | Out-Null
} finally {
    $secret = $credential = $how = $null
}
$disconnect = { Disconnect-MicrosoftTeams -ErrorAction Ignore }
{% include "powershell/signout.ps1" %}
