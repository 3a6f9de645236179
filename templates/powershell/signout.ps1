# On Remove-Module, and on `exit`; a PowerShell that is killed, or whose terminal is closed, runs neither.
$ExecutionContext.SessionState.Module.OnRemove = $disconnect
$null = Register-EngineEvent -SourceIdentifier PowerShell.Exiting -SupportEvent -Action $disconnect
Export-ModuleMember
