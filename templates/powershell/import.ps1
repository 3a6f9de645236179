{# The line that `lyncsh attach NAME | Invoke-Expression` runs. A path is a pattern there, in which [ would match nothing (ResolveRootedFilePath).
   Where one of several fails, an error that ends the pipeline would keep the others out. #}
{% if several %}try { {% endif %}
{% if pattern %}
Import-Module ([System.Management.Automation.WildcardPattern]::Escape({{ script }})) -Global -DisableNameChecking -ErrorAction Stop
{%- else %}
Import-Module {{ script }} -Global -DisableNameChecking -ErrorAction Stop
{%- endif %}
{% if several %} } catch { Write-Error -ErrorRecord $_ }{% endif %}
