# A PSSession on the agent's socket.
if ($version.Major -ge 7) {
    # The limit is for the socket to appear; its poll is 100 ms (tried).
    $link = New-Object -TypeName System.Management.Automation.Runspaces.NamedPipeConnectionInfo -ArgumentList $answer.socket, 60000
    $runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($link, $Host, $types)
    try { $runspace.Open() } catch {
        $runspace.Dispose()
        throw "lyncsh: this PowerShell can't attach to the session of '$name': $($_.Exception.GetBaseException().Message)"
    }
    # Get-PSSession lists the session only if a cmdlet's own $PSCmdlet is passed (tried).
    $session = & {
        [CmdletBinding()] param($Runspace)
        [System.Management.Automation.Runspaces.PSSession]::Create($Runspace, 'lyncsh', $PSCmdlet)
    } $runspace
} else {
    $runspace = $session = $null
    try {
        # 5.1 finds a process's own pipe by the process's id, and the agent listens there, too (tried in
        # 7.6.5, not in 5.1).
        $link = New-Object -TypeName System.Management.Automation.Runspaces.NamedPipeConnectionInfo -ArgumentList ([int]$answer.agent)
        $runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($link, $Host, $types)
        $runspace.Open()
        # 5.1 has no Create: the constructor that New-PSSession uses (tried in 7.6.5, not in 5.1).
        $made = [System.Management.Automation.Runspaces.PSSession].GetConstructors('NonPublic,Instance') | Where-Object { $_.GetParameters().Count -eq 1 }
        $session = $made.Invoke(@($runspace))
    } catch {
        # Another build, or a policy: the agent's session can't be had here.
        if ($runspace) { $runspace.Dispose() }
        $Host.UI.WriteWarningLine("lyncsh: this PowerShell can't attach to the agent of '$name', and makes a session of its own: $($_.Exception.GetBaseException().Message)")
    }
    if ($null -eq $session) {
        $own = $true
{% include "powershell/own.ps1" %}
    }
}
