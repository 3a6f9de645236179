# Written by lyncsh {{ version }}. Signs in to Exchange Online with its module, and signs out.
{% include "powershell/signin.ps1" %}
$how = @{ ShowBanner = $false }
{% if prefix %}
$how.Prefix = {{ prefix|ps }}
{% endif %}
{% if sign_in == "device-code" %}
# The module supports this only in PowerShell 7.
$how.Device = $true
{% elif sign_in == "browser" %}
{% if user %}
$how.UserPrincipalName = $user
{% endif %}
{% elif sign_in == "credential" %}
$how.Credential = $credential
{% elif sign_in == "certificate" %}
$how.Certificate = $certificate
$how.AppId = {{ client_id|ps }}
{% elif sign_in == "managed-identity" %}
$how.ManagedIdentity = $true
{% if client_id %}
# A user-assigned identity.
$how.ManagedIdentityAccountId = {{ client_id|ps }}
{% endif %}
{% else %}
$how.AccessToken = $secret
$how.UserPrincipalName = $user
{% endif %}
{% if organization %}
{% if sign_in == "certificate" or sign_in == "managed-identity" %}
$how.Organization = {{ organization|ps }}
{% else %}
# A customer's organization, for delegated administration.
$how.DelegatedOrganization = {{ organization|ps }}
{% endif %}
{% endif %}
try {
    Connect-ExchangeOnline @how
} finally {
    $secret = $credential = $certificate = $how = $null
}
$disconnect = { Disconnect-ExchangeOnline -Confirm:$false -ErrorAction Ignore }
{% include "powershell/signout.ps1" %}
