# A session of this PowerShell's own, in the way that the endpoints' vendor documents. Nothing in here was
# tried: PowerShell has no WSMan client where there was one to try it with.
# The program hands the credential over through a pipe that these two alone have, once; and as long as the
# other pipe is open, this PowerShell lives (PSSession's id is the runspace pool's: RemoteRunspace.cs).
$start = New-Object -TypeName System.Diagnostics.ProcessStartInfo -ArgumentList $program, {{ own|ps }}
$start.UseShellExecute = $false
$start.CreateNoWindow = $true
$start.RedirectStandardInput = $true
$start.RedirectStandardOutput = $true
# The variable stays as long as this module does: without it the pipe would be closed some time.
$guard = [System.Diagnostics.Process]::Start($start)
# A person may have a $session that this one would stand for, if it were not set.
$given = $session = $null
# Nothing is kept, and a variable of the user's own must not name a folder.
$cache = $null
$told = $false
try {
    $line = $guard.StandardOutput.ReadLine()
    $guard.StandardOutput.Close()
    if ($line) { $given = ConvertFrom-Json -InputObject $line }
    if ($null -eq $given) { throw "lyncsh: no session for '$name': $program ended without a word" }
    if ($given.error) { throw "lyncsh: $($given.error)" }
    $asked = ''
    if ($given.secret) {
        $secret = ConvertTo-SecureString -String $given.secret -AsPlainText -Force
        $credential = New-Object -TypeName System.Management.Automation.PSCredential -ArgumentList $given.user, $secret
    } else {
        $Host.UI.Write("Password for $($given.user) (profile '$name'): ")
        $credential = New-Object -TypeName System.Management.Automation.PSCredential -ArgumentList $given.user, $Host.UI.ReadLineAsSecureString()
        $asked = ' ' + [System.Convert]::ToBase64String([System.Text.Encoding]::UTF8.GetBytes($credential.GetNetworkCredential().Password))
    }
{% if attach == "New-CsOnlineSession" %}
    if (-not (Microsoft.PowerShell.Core\Get-Command -Name New-CsOnlineSession -ErrorAction Ignore)) {
        throw "lyncsh: PowerShell has no New-CsOnlineSession for '$name': install the module that has it, or take attach out of the profile"
    }
    $how = @{ Credential = $credential }
    if ($given.domain) { $how.OverrideAdminDomain = $given.domain }
    if ($given.uri) { $how.OverridePowershellUri = $given.uri }
    # A function of another module, whose errors need not end it: it does not see $ErrorActionPreference here.
    $session = New-CsOnlineSession @how | Microsoft.PowerShell.Utility\Select-Object -Last 1
    if ($null -eq $session) { throw "lyncsh: New-CsOnlineSession has made no session for '$name'" }
{% else %}
    $session = New-PSSession -ConnectionUri $given.uri -ConfigurationName $given.configuration -Credential $credential -Authentication $given.authentication -AllowRedirection
{% endif %}
    # Where a redirection may have led to.
    $guard.StandardInput.WriteLine("$($session.InstanceId) $($session.Runspace.ConnectionInfo.ConnectionUri.AbsoluteUri)$asked")
    $guard.StandardInput.Flush()
    $told = $true
} finally {
    # Ctrl-C runs this, and no `catch` (about_Try_Catch_Finally). The end of its input ends the guard.
    if (-not $told) {
        $guard.StandardInput.Close()
        if ($session) { Microsoft.PowerShell.Core\Remove-PSSession -Session $session -WhatIf:$false -Confirm:$false -ErrorAction Ignore }
    }
    $line = $secret = $credential = $asked = $how = $null
    if ($given) { $given.PSObject.Properties.Remove('secret') }
}
$answer = [pscustomobject]@{
    user = $given.user
    endpoint = $session.Runspace.ConnectionInfo.ConnectionUri.AbsoluteUri
    agent = $null
    connected = [long]([datetime]::UtcNow - [datetime]::new(1970, 1, 1, 0, 0, 0, [System.DateTimeKind]::Utc)).TotalSeconds
}
