. {{ connect|ps }}
{# With -Command, a script's own `exit` ends that script only (about_Language_Keywords). #}
if (-not (Get-Module -Name 'lyncsh-*')) { exit 1 }
{% if script %}
{# `exit` in the script sets it; one that has none ends with 0, as with -File. Not tried. #}
$global:LASTEXITCODE = 0
& {{ script|ps }} {{ arguments }}
exit $LASTEXITCODE
{% else %}
{{ text }}
{% endif %}
