# The cmdlets of lyncsh's profiles; remove these lines with `lyncsh hook remove`.
{#- The manifests in this folder list the cmdlets, and PowerShell loads a module on the first call of a cmdlet (seen
    in 7.6.5). A PowerShell that another PowerShell starts inherits the folder (seen in 7.6.9). #}
if (($env:PSModulePath -split {{ separator }}) -notcontains {{ root }}) {
    $env:PSModulePath += {{ separator }} + {{ root }}
}
{#- By the script's path, like `lyncsh NAME`, so that a module is not imported twice. A path is a pattern. #}
{%- for script in scripts %}
Import-Module -Name ([System.Management.Automation.WildcardPattern]::Escape({{ script }})) -DisableNameChecking -Global
{%- endfor %}
