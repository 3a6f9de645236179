# Runs on Remove-Module and on `exit`, but not if the PowerShell is killed or its terminal is closed.
$ExecutionContext.SessionState.Module.OnRemove = $disconnect
$null = Register-EngineEvent -SourceIdentifier PowerShell.Exiting -SupportEvent -Action $disconnect
Export-ModuleMember
