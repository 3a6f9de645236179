# With None, not even PowerShell's own modules load by themselves, and only the global variable counts (tried).
if ("$global:PSModuleAutoLoadingPreference" -eq 'None') { Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Management, Microsoft.PowerShell.Security, Microsoft.PowerShell.Utility }
