{# The line that `lyncsh attach NAME | Invoke-Expression` runs. A path is a pattern there, in which [ would match nothing (ResolveRootedFilePath). #}
{% if pattern %}
Import-Module ([System.Management.Automation.WildcardPattern]::Escape({{ script|ps }})) -Global -DisableNameChecking -ErrorAction Stop
{% else %}
Import-Module {{ script|ps }} -Global -DisableNameChecking -ErrorAction Stop
{% endif %}
