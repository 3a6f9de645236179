{# The line that `lyncsh attach NAME | Invoke-Expression` runs. A path is a pattern there, in which [ would match nothing (ResolveRootedFilePath).
   A terminating error of one module would end the pipeline before the others. #}
{% if several %}try { {% endif %}
{% if pattern %}
Import-Module ([System.Management.Automation.WildcardPattern]::Escape({{ script }})) -Global -DisableNameChecking -ErrorAction Stop
{%- else %}
Import-Module {{ script }} -Global -DisableNameChecking -ErrorAction Stop
{%- endif %}
{#- An imported module is not imported again, but another profile may have replaced its variable. #}{#- Only commands of Core: other modules must not load automatically. #}; & { Set-StrictMode -Off; foreach ($one in $global:lyncsh) { if ($one.Profile -eq {{ profile }}) { $ExecutionContext.SessionState.PSVariable.Set("global:$($one.Variable)", $one.Session) } } }
{%- if several %} } catch { Write-Error -ErrorRecord $_ }{% endif %}
