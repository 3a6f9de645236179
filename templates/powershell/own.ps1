# A standalone session, opened as Microsoft documents it. Not verified: the PowerShells that were available have no
# WSMan client.
# The program sends the credential once, through a private pipe. It detects the end of this PowerShell by the end of
# the other pipe (the id of a PSSession is the runspace pool's id: RemoteRunspace.cs).
$start = New-Object -TypeName System.Diagnostics.ProcessStartInfo -ArgumentList $program, {{ own|ps }}
$start.UseShellExecute = $false
$start.CreateNoWindow = $true
$start.RedirectStandardInput = $true
$start.RedirectStandardOutput = $true
# The variable keeps the pipe open as long as this module is loaded.
$guard = [System.Diagnostics.Process]::Start($start)
# Set first, because the user may have a variable $session.
$given = $session = $null
# Nothing is cached, and a variable of the user must not be used as a folder.
$cache = $null
$told = $false
try {
    $line = $guard.StandardOutput.ReadLine()
    if ($line) { $given = ConvertFrom-Json -InputObject $line }
    if ($null -eq $given) { throw "lyncsh: no session for '$name': $program ended without a message" }
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
        throw "lyncsh: PowerShell has no New-CsOnlineSession for '$name'; install its module, or remove attach from the profile"
    }
    $how = @{ Credential = $credential }
    if ($given.domain) { $how.OverrideAdminDomain = $given.domain }
    if ($given.uri) { $how.OverridePowershellUri = $given.uri }
    # Errors of this function of another module may not end it: it ignores $ErrorActionPreference of this module.
    $session = New-CsOnlineSession @how | Microsoft.PowerShell.Utility\Select-Object -Last 1
    if ($null -eq $session) { throw "lyncsh: New-CsOnlineSession returned no session for '$name'" }
{% else %}
    $session = New-PSSession -ConnectionUri $given.uri -ConfigurationName $given.configuration -Credential $credential -Authentication $given.authentication
{% endif %}
    $guard.StandardInput.WriteLine("$($session.InstanceId) $($session.Runspace.ConnectionInfo.ConnectionUri.AbsoluteUri)$asked")
    $guard.StandardInput.Flush()
    if ($guard.StandardOutput.ReadLine() -ne 'guarded') { throw "lyncsh: the session for '$name' is removed: $program cannot guard it" }
    $told = $true
} finally {
    # Ctrl-C runs `finally`, but not `catch` (about_Try_Catch_Finally). The end of its input ends the guard.
    $guard.StandardOutput.Close()
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
