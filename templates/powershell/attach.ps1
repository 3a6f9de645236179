# A PSSession on the agent's socket.
if ($version.Major -ge 7) {
    # The socket exists, because the program answers after the session opened. The limit is for the socket of an agent
    # that was killed.
    $link = [System.Management.Automation.Runspaces.NamedPipeConnectionInfo]::new($answer.socket, 5000)
    $runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($link, $Host, $types)
    # Opened in another thread while the commands are imported: polling the socket takes 0.1 s (seen).
    $opening = [System.Threading.Tasks.Task]::Run([System.Action][System.Delegate]::CreateDelegate([System.Action], $runspace, 'Open'))
    # Get-PSSession lists the session only if a cmdlet's own $PSCmdlet is passed (seen).
    $session = & {
        [CmdletBinding()] param($Runspace)
        [System.Management.Automation.Runspaces.PSSession]::Create($Runspace, 'lyncsh', $PSCmdlet)
    } $runspace
} else {
    . (& $library)
    . $attachTo51
}
