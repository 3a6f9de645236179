# `None` prevents the automatic loading even of PowerShell's own modules, `ModuleQualified` that for the unqualified
# names used here; only the global variable has an effect (seen).
if ("$global:PSModuleAutoLoadingPreference" -in 'None', 'ModuleQualified') { Microsoft.PowerShell.Core\Import-Module -Name Microsoft.PowerShell.Management, Microsoft.PowerShell.Security, Microsoft.PowerShell.Utility }
