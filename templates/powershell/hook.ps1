# The cmdlets of lyncsh's profiles; `lyncsh hook remove` takes these lines away.
{#- The manifests below this folder name the cmdlets, and PowerShell loads a module by the first call of one (tried
    in 7.6.5). A PowerShell that another starts has the folder from it (tried in 7.6.9). #}
if (($env:PSModulePath -split {{ separator }}) -notcontains {{ root }}) {
    $env:PSModulePath += {{ separator }} + {{ root }}
}
{#- By the script's path, as `lyncsh NAME` does: one that is there is not imported twice. A path is a pattern. #}
{%- for script in scripts %}
Import-Module -Name ([System.Management.Automation.WildcardPattern]::Escape({{ script }})) -DisableNameChecking -Global
{%- endfor %}
