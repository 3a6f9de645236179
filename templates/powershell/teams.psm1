# Written by lyncsh {{ version }}. Signs in to Microsoft Teams with its module, and signs out.
{% include "powershell/signin.ps1" %}
$how = @{}
{% if sign_in == "device-code" %}
$how.UseDeviceAuthentication = $true
{% elif sign_in == "browser" %}
{% if user %}
$how.AccountId = $user
{% endif %}
{% elif sign_in == "credential" %}
$how.Credential = $credential
{% elif sign_in == "certificate" %}
$how.Certificate = $certificate
$how.ApplicationId = {{ client_id|ps }}
{% elif sign_in == "managed-identity" %}
$how.Identity = $true
{% else %}
# The tokens of Microsoft Graph and Teams, in this order.
$how.AccessTokens = @($secret -split '[, ]+')
{% endif %}
{% if tenant %}
# Also the tenant of a customer, for delegated administration.
$how.TenantId = {{ tenant|ps }}
{% endif %}
try {
    Connect-MicrosoftTeams @how | Out-Null
} finally {
    $secret = $credential = $certificate = $how = $null
}
$disconnect = { Disconnect-MicrosoftTeams -ErrorAction Ignore }
{% include "powershell/signout.ps1" %}
