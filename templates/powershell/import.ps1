{# The line that `lyncsh attach NAME | Invoke-Expression` runs. A path is a pattern there, in which [ would match nothing (ResolveRootedFilePath).
   Where one of several fails, an error that ends the pipeline would keep the others out. #}
{% if several %}try { {% endif %}
{% if pattern %}
Import-Module ([System.Management.Automation.WildcardPattern]::Escape({{ script }})) -Global -DisableNameChecking -ErrorAction Stop
{%- else %}
Import-Module {{ script }} -Global -DisableNameChecking -ErrorAction Stop
{%- endif %}
{#- One that is there already is not imported again, and may have lost its variable to another profile. #}{#- Core's commands only: no other module may load by itself. #}; & { Set-StrictMode -Off; foreach ($one in $global:lyncsh) { if ($one.Profile -eq {{ profile }}) { $ExecutionContext.SessionState.PSVariable.Set("global:$($one.Variable)", $one.Session) } } }
{%- if several %} } catch { Write-Error -ErrorRecord $_ }{% endif %}
