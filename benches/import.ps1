# One measurement in a separate PowerShell; prints milliseconds.
param([string]$What, [string]$Lyncsh, [string]$Folder, [string]$Module)
$ErrorActionPreference = 'Stop'
$clock = [System.Diagnostics.Stopwatch]::StartNew()

# A session for Export-PSSession's module, attached as lyncsh's module does.
function Open-Session {
    $socket = & $Lyncsh attach work --socket
    $link = [System.Management.Automation.Runspaces.NamedPipeConnectionInfo]::new($socket, 60000)
    $types = [System.Management.Automation.Runspaces.TypeTable]::LoadDefaultTypeFiles()
    $runspace = [runspacefactory]::CreateRunspace($link, $Host, $types)
    $runspace.Open()
    & {
        [CmdletBinding()] param($Runspace)
        [System.Management.Automation.Runspaces.PSSession]::Create($Runspace, 'bench', $PSCmdlet)
    } $runspace
}

switch ($What) {
    'import-pssession' {
        $session = Open-Session
        $null = Import-PSSession -Session $session -CommandName '*-Cs*' -AllowClobber -DisableNameChecking
        $null = Get-CsTenant
    }
    'export' {
        $session = Open-Session
        $null = Export-PSSession -Session $session -CommandName '*-Cs*' -OutputModule "$Folder/exported" -AllowClobber -Force
        Import-Module "$Folder/exported/exported.psm1" -ArgumentList $session -DisableNameChecking
        $null = Get-CsTenant
    }
    'exported' {
        $session = Open-Session
        Import-Module "$Folder/exported/exported.psm1" -ArgumentList $session -DisableNameChecking
        $null = Get-CsTenant
    }
    'lyncsh' {
        Import-Module $Module -DisableNameChecking
        $null = Get-CsTenant
    }
    'parse' {
        $tokens = $mistakes = $null
        # Load the parser's own dependencies first.
        $null = [System.Management.Automation.Language.Parser]::ParseInput('function f { param([switch]$A) begin { } }', [ref]$tokens, [ref]$mistakes)
        $clock.Restart()
        $null = [System.Management.Automation.Language.Parser]::ParseFile($Module, [ref]$tokens, [ref]$mistakes)
        if ($mistakes) { throw "$Module can't be parsed: $($mistakes[0])" }
    }
}
'{0:0.0}' -f $clock.Elapsed.TotalMilliseconds
if ($session) { Remove-PSSession $session }
