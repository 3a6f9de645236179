# With None, not even PowerShell's own modules load automatically, and with ModuleQualified not for all names used here;
# only the global variable has an effect (tried).
if ("$global:PSModuleAutoLoadingPreference" -in 'None', 'ModuleQualified') { Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Management, Microsoft.PowerShell.Security, Microsoft.PowerShell.Utility }
