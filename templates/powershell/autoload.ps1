# With None, not even PowerShell's own modules load by themselves, and with ModuleQualified not by every name here; only
# the global variable counts (tried).
if ("$global:PSModuleAutoLoadingPreference" -in 'None', 'ModuleQualified') { Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Management, Microsoft.PowerShell.Security, Microsoft.PowerShell.Utility }
